# Make, run and remove containers and images for $1 rounds, and log each thing that Docker confirmed: busy_workload.sh ROUNDS
# It pauses between two rounds while /root/pause is there.
log() { echo "$@" >> /root/workload.log; }
remove() { # a container, however long Docker is away
  log "removing container $1"
  until docker rm -f "$1" || { docker info && ! docker inspect --type container "$1"; }; do sleep 1; done > /dev/null
}
for round in $(seq "$1"); do
  while [ -e /root/pause ]; do sleep 0.5; done
  log "round $round"
  case $((round % 4)) in
    0) # A container that runs for a moment.
      if id=$(docker run -d --name "run-$round" app:1 sleep 100000); then log "made container run-$round $id"; fi
      remove "run-$round" ;;
    1) # An image of its own, made from a container that is removed again; every other one goes too.
      if id=$(docker create --name "make-$round" app:1 sh); then
        log "made container make-$round $id"
        if id=$(docker commit "make-$round" "img:$round"); then log "made image img:$round $id"; fi
        remove "make-$round"
      fi
      if [ $((round % 8)) = 1 ]; then
        log "removing image img:$round"
        docker rmi "img:$round" > /dev/null
      fi ;;
    *) # Names: a new one, and one that moves.
      if docker tag app:1 "name:$round"; then log "made image name:$round -"; fi
      sleep 2 ;;
  esac
done 2>> /root/workload.err
