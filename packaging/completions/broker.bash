# Made from redis.conf.example and the table of directives by a test of the broker.
_broker() {
    local word=$2 before=$3
    COMPREPLY=()
    case $before in
        --bind) : ;;
        --port) : ;;
        --unixsocket) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --unixsocketperm) : ;;
        --protected-mode) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --tcp-backlog) : ;;
        --tcp-keepalive) : ;;
        --timeout) : ;;
        --shutdown-drain) : ;;
        --maxclients) : ;;
        --requirepass) : ;;
        --requirepass-file) : ;;
        --aclfile) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --acl-pubsub-default) mapfile -t COMPREPLY < <(compgen -W 'allchannels resetchannels' -- "$word") ;;
        --acllog-max-len) : ;;
        --user) : ;;
        --user-limits) : ;;
        --rename-command) : ;;
        --tls-port) : ;;
        --tls-cert-file) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --tls-key-file) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --tls-client-cert-file) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --tls-client-key-file) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --tls-ca-cert-file) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --tls-ca-cert-dir) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --tls-crl-file) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --tls-auth-clients) mapfile -t COMPREPLY < <(compgen -W 'no yes optional' -- "$word") ;;
        --tls-auth-clients-user) mapfile -t COMPREPLY < <(compgen -W 'off CN URI' -- "$word") ;;
        --tls-protocols) : ;;
        --tls-ciphers) : ;;
        --tls-ciphersuites) : ;;
        --tls-prefer-server-ciphers) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --tls-session-caching) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --tls-session-cache-timeout) : ;;
        --tls-auto-reload-interval) : ;;
        --http-port) : ;;
        --http-bind) : ;;
        --http-token) : ;;
        --http-tls) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --http-names) : ;;
        --client-output-buffer-limit) : ;;
        --client-query-buffer-limit) : ;;
        --proto-max-bulk-len) : ;;
        --maxmemory) : ;;
        --maxmemory-clients) : ;;
        --tracking-table-max-keys) : ;;
        --databases) : ;;
        --counters-file) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --notify-keyspace-events) : ;;
        --busy-reply-threshold) : ;;
        --lua-time-limit) : ;;
        --pubsub-replay) : ;;
        --notify-pubsub-events) : ;;
        --pubsub-slow-policy) : ;;
        --replicaof) : ;;
        --slaveof) : ;;
        --masteruser) : ;;
        --masterauth) : ;;
        --tls-replication) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --replica-priority) : ;;
        --slave-priority) : ;;
        --replica-announce-ip) : ;;
        --slave-announce-ip) : ;;
        --replica-announce-port) : ;;
        --slave-announce-port) : ;;
        --replica-announced) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --replica-read-only) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --slave-read-only) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --replica-ignore-maxmemory) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --slave-ignore-maxmemory) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --replica-serve-stale-data) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --slave-serve-stale-data) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --repl-timeout) : ;;
        --repl-ping-replica-period) : ;;
        --repl-ping-slave-period) : ;;
        --repl-backlog-size) : ;;
        --repl-backlog-ttl) : ;;
        --min-replicas-to-write) : ;;
        --min-slaves-to-write) : ;;
        --min-replicas-max-lag) : ;;
        --min-slaves-max-lag) : ;;
        --primaryuser) : ;;
        --primaryauth) : ;;
        --io-threads) : ;;
        --loglevel) mapfile -t COMPREPLY < <(compgen -W 'debug verbose notice warning nothing' -- "$word") ;;
        --log-format) mapfile -t COMPREPLY < <(compgen -W 'legacy logfmt json' -- "$word") ;;
        --log-timestamp-format) mapfile -t COMPREPLY < <(compgen -W 'legacy iso8601 milliseconds' -- "$word") ;;
        --syslog-enabled) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --syslog-ident) : ;;
        --syslog-facility) mapfile -t COMPREPLY < <(compgen -W 'user local0 local1 local2 local3 local4 local5 local6 local7' -- "$word") ;;
        --logfile) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --daemonize) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --set-proc-title) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --pidfile) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --dir) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        --enable-debug-command) mapfile -t COMPREPLY < <(compgen -W 'no yes local' -- "$word") ;;
        --enable-protected-configs) mapfile -t COMPREPLY < <(compgen -W 'no yes local' -- "$word") ;;
        --slowlog-log-slower-than) : ;;
        --slowlog-max-len) : ;;
        --latency-monitor-threshold) : ;;
        --latency-tracking) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") ;;
        --latency-tracking-info-percentiles) : ;;
        *)
            if [[ $word == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W '--bind --port --unixsocket --unixsocketperm --protected-mode --tcp-backlog --tcp-keepalive --timeout --shutdown-drain --maxclients --requirepass --requirepass-file --aclfile --acl-pubsub-default --acllog-max-len --user --user-limits --rename-command --tls-port --tls-cert-file --tls-key-file --tls-client-cert-file --tls-client-key-file --tls-ca-cert-file --tls-ca-cert-dir --tls-crl-file --tls-auth-clients --tls-auth-clients-user --tls-protocols --tls-ciphers --tls-ciphersuites --tls-prefer-server-ciphers --tls-session-caching --tls-session-cache-timeout --tls-auto-reload-interval --http-port --http-bind --http-token --http-tls --http-names --client-output-buffer-limit --client-query-buffer-limit --proto-max-bulk-len --maxmemory --maxmemory-clients --tracking-table-max-keys --databases --counters-file --notify-keyspace-events --busy-reply-threshold --lua-time-limit --pubsub-replay --notify-pubsub-events --pubsub-slow-policy --replicaof --slaveof --masteruser --masterauth --tls-replication --replica-priority --slave-priority --replica-announce-ip --slave-announce-ip --replica-announce-port --slave-announce-port --replica-announced --replica-read-only --slave-read-only --replica-ignore-maxmemory --slave-ignore-maxmemory --replica-serve-stale-data --slave-serve-stale-data --repl-timeout --repl-ping-replica-period --repl-ping-slave-period --repl-backlog-size --repl-backlog-ttl --min-replicas-to-write --min-slaves-to-write --min-replicas-max-lag --min-slaves-max-lag --primaryuser --primaryauth --io-threads --loglevel --log-format --log-timestamp-format --syslog-enabled --syslog-ident --syslog-facility --logfile --daemonize --set-proc-title --pidfile --dir --enable-debug-command --enable-protected-configs --slowlog-log-slower-than --slowlog-max-len --latency-monitor-threshold --latency-tracking --latency-tracking-info-percentiles --help --version' -- "$word")
            else
                mapfile -t COMPREPLY < <(compgen -f -- "$word")
                if ((COMP_CWORD == 1)); then
                    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W 'emit ping top' -- "$word")
                fi
            fi
            ;;
    esac
}
complete -o filenames -F _broker broker
