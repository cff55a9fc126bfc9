"""How fast it is: each module measures one thing, `bench` runs them and writes the page."""
