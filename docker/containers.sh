# shellcheck shell=bash disable=SC2154
# Runs containers of an image as Docker would: by runc, with a read-only root, as the image's user,
# without capabilities, in a network of this machine and the containers alone. Sourced by try.sh,
# which sets $work, a folder, and $root, where the image is mounted.

HOST=10.89.7.1
CONTAINER=10.89.7.2
NETWORK=errata-try

make_network() {
    ip netns add $NETWORK
    ip link add $NETWORK type veth peer name eth0 netns $NETWORK
    ip address add $HOST/30 dev $NETWORK
    ip link set $NETWORK up
    ip -n $NETWORK address add $CONTAINER/30 dev eth0
    ip -n $NETWORK link set eth0 up
    ip -n $NETWORK link set lo up
    printf '127.0.0.1 localhost\n%s database\n' $HOST >"$work/hosts"
}

remove_network() {
    ip netns delete $NETWORK 2>/dev/null || true
}

# start NAME DATA [VARIABLE=value ...]: what it prints lies in $work/NAME/out and err, and its exit
# code, once it has ended, in $work/NAME/code.
start() {
    local name=$1 data=$2
    shift 2
    mkdir -p "$work/$name"
    (
        cd "$work/$name" || exit
        runc spec
        jq --arg root "$root" --arg data "$data" --arg work "$work" \
            --arg network $NETWORK \
            --slurpfile image "$work/image.json" --args '
            def bind(from; to; mode): {type: "bind", source: from, destination: to,
                                       options: ["bind", mode]};
            $image[0] as $image
            | ($image.User | split(":") | map(tonumber)) as $user
            | .root = {path: $root, readonly: true}
            | .process += {
                terminal: false, cwd: $image.WorkingDir, user: {uid: $user[0], gid: $user[1]},
                args: ($image.Entrypoint + $image.Cmd), env: ($image.Env + $ARGS.positional),
                capabilities: {}, noNewPrivileges: true}
            | .mounts += [
                {type: "tmpfs", source: "tmpfs", destination: "/tmp", options: ["mode=1777"]},
                bind($data; "/data"; "rw"), bind($work + "/hosts"; "/etc/hosts"; "ro"),
                bind($work + "/secrets"; "/run/secrets"; "ro")]
            | (.linux.namespaces[] | select(.type == "network")).path = "/run/netns/" + $network
            ' "$@" <config.json >made.json
        mv made.json config.json
        code=0
        runc run "$name" >out 2>err </dev/null || code=$?
        echo $code >code
    ) &
}

# ended NAME: waits for its end and succeeds if that was a clean one.
ended() {
    for _ in $(seq 300); do
        [ ! -s "$work/$1/code" ] || break
        sleep 0.2
    done
    [ "$(cat "$work/$1/code")" = 0 ]
}

# ready NAME PORT: waits until it says that it can do its work.
ready() {
    for _ in $(seq 120); do
        ! curl --silent --fail --output "$work/ready" "http://$CONTAINER:$2/health/ready" || return 0
        [ ! -s "$work/$1/code" ] || break
        sleep 1
    done
    tail -n 20 "$work/$1/out" "$work/$1/err" >&2
    return 1
}
