#!/bin/bash
# A job of `paper_repro submit`: job.sh PYTHON KEY ARGUMENTS runs `PYTHON ARGUMENTS`.
#
# Slurm's warning (--signal, or a preemption with grace) goes to steps and not to this shell, hence
# srun. A training that is warned saves and exits with 130; 143 is one that was warned before it
# could listen. Both are requeued. A TERM to this shell says that the job itself ends (scancel, the
# limit itself), which is Slurm's decision and no reason to requeue.
python=$1 key=$2
shift 2
tell() { echo "-- $(date +%FT%T) $key: $*"; }
export PATH="${python%/*}:$PATH" PYTHONUNBUFFERED=1
reserved=${SLURM_CPUS_PER_GPU:+$SLURM_CPUS_ON_NODE} # by --cpus-per-gpu
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-${reserved:-1}}"
unset SLURM_CPUS_PER_GPU # srun takes only one of both numbers
export GIT_OPTIONAL_LOCKS=0 # jobs that ask git for the commit don't write its index
ending=
trap 'ending=1' TERM
tell "job $SLURM_JOB_ID on $SLURMD_NODENAME, restart ${SLURM_RESTART_COUNT:-0}"
# srun takes the number of cores from no variable of the job since Slurm 22.05. Without --export it
# would hand on what sbatch was told to, such as NONE, and not what stands above.
srun --export=ALL --unbuffered --cpus-per-task="$OMP_NUM_THREADS" "$python" "$@" &
step=$!
while :; do # a trap ends `wait` early
  wait $step
  code=$?
  kill -0 $step 2> /dev/null || break
done
tell "exit $code"
case $code in
  130 | 143)
    if [[ $key = repro-???????? ]] && [ "${SLURM_RESTART_COUNT:-0}" -ge 3 ]; then
      tell "exit $code: restarted three times; run \`dvc repro\` by hand, or with more --time"
      exit $code
    fi
    sleep 1 # the signals of one scancel reach step and shell one after the other
    if [ -z "$ending" ] && scontrol requeue "$SLURM_JOB_ID"; then
      sleep 60 # until Slurm ends this shell
    fi
    ;;
esac
exit $code
