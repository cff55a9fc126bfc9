"""Install into this Python's environment, wherever the user's settings of pip would install.

Of these settings (files and ``PIP_`` variables) those hold that say where packages come from;
``user``, ``target``, ``constraint`` and the like belong to the user's other projects.
"""

import ast
import os
import subprocess
import sys

SOURCES = (
    *("index_url", "extra_index_url", "find_links", "no_index", "trusted_host", "proxy"),
    *("cert", "client_cert", "keyring_provider", "no_input", "use_feature", "use_deprecated"),
    *("timeout", "default_timeout", "retries", "cache_dir", "no_cache_dir"),
)
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def _variable(key: str) -> str:
    return "PIP_" + key.upper().replace("-", "_")


def environment() -> dict[str, str]:
    """Return the variables for pip: the user's, with all of his sources and nothing else of pip's.

    Raises
    ------
    SystemExit
        If pip can't read the user's settings; it has said why.
    """
    kept = {"PIP_CONFIG_FILE", *map(_variable, SOURCES)}
    found = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PIP_") or name in kept
    }
    listed = subprocess.run(
        [*PIP, "config", "list"],
        env=found | {"PIP_USER": "0"},  # a `user = true` would list the user's own file only
        stdout=subprocess.PIPE,
        text=True,
    )
    if listed.returncode:
        sys.exit(listed.returncode)
    settings = {}
    for line in listed.stdout.splitlines():  # global.index-url='https://…'
        key, value = line.split("=", 1)
        section, name = key.split(".", 1)
        settings[section, _variable(name)] = ast.literal_eval(value)
    for section in ("global", "install"):  # the latter wins, and variables win over both
        for (own, name), value in settings.items():
            if own == section and name in kept and name not in os.environ:
                found[name] = value
    return found | {"PIP_CONFIG_FILE": os.devnull}


if __name__ == "__main__":
    os.execve(sys.executable, [*PIP, "install", *sys.argv[1:]], environment())
