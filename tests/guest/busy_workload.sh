# Make, run and remove containers and images for $1 rounds, and log each thing that Docker confirmed: busy_workload.sh ROUNDS
log() { echo "$@" >> /root/workload.log; }
for round in $(seq "$1"); do
  log "round $round"
  # An image of its own, made from a container that is removed again.
  if id=$(docker create --name "make-$round" app:1 sh); then
    log "made container make-$round $id"
    if id=$(docker commit "make-$round" "img:$round"); then log "made image img:$round $id"; fi
    log "removing container make-$round"
    until docker rm "make-$round" || ! docker inspect --type container "make-$round"; do sleep 1; done > /dev/null
  fi
  if id=$(docker tag app:1 "name:$round" && echo done); then log "made image name:$round $id"; fi
  # Every third image goes again.
  if [ $((round % 3)) = 0 ]; then
    log "removing image img:$round"
    docker rmi "img:$round" > /dev/null
  fi
  # A container that runs for a while; a busy host would have one at each look.
  if [ $((round % 4)) = 0 ]; then
    if id=$(docker run -d --name "run-$round" app:1 sleep 100000); then log "made container run-$round $id"; fi
    sleep 2
    log "removing container run-$round"
    until docker rm -f "run-$round" || ! docker inspect --type container "run-$round"; do sleep 1; done > /dev/null
  fi
  # Quiet at times, or nobody could ever change anything.
  sleep $((round % 5 == 0 ? 40 : 2))
done 2>> /root/workload.err
