//! Fields of `INFO` that are metrics, with the names that redis_exporter gives them.

use super::Kind::{self, Counter, Gauge};

/// A field of `INFO`, the name of its metric, the kind, and the meaning.
pub(super) type Field = (&'static str, &'static str, Kind, &'static str);

/// The fields, in the order of `INFO`.
#[rustfmt::skip]
pub(super) const FIELDS: &[Field] = &[
    // Server
    ("process_id", "redis_process_id", Gauge, "The process id."),
    ("uptime_in_seconds", "redis_uptime_in_seconds", Gauge, "Seconds since the start."),
    ("io_threads_active", "redis_io_threads_active", Gauge, "1 if several threads serve clients."),
    // Clients
    ("connected_clients", "redis_connected_clients", Gauge, "Clients that are connected."),
    ("cluster_connections", "redis_cluster_connections", Gauge, "Always 0."),
    ("maxclients", "redis_max_clients", Gauge, "The setting maxclients."),
    ("client_recent_max_input_buffer", "redis_client_recent_max_input_buffer_bytes", Gauge, "The most input that a client had waiting recently."),
    ("client_recent_max_output_buffer", "redis_client_recent_max_output_buffer_bytes", Gauge, "The most output that a client had unread recently."),
    ("blocked_clients", "redis_blocked_clients", Gauge, "Clients whose request waits."),
    ("tracking_clients", "redis_tracking_clients", Gauge, "Clients with CLIENT TRACKING."),
    ("clients_in_timeout_table", "redis_clients_in_timeout_table", Gauge, "Always 0."),
    ("pubsub_clients", "redis_pubsub_clients", Gauge, "Clients with a subscription."),
    // Memory
    ("used_memory", "redis_memory_used_bytes", Gauge, "Memory of keys and of the process at its start."),
    ("used_memory_rss", "redis_memory_used_rss_bytes", Gauge, "Resident memory of the process."),
    ("used_memory_peak", "redis_memory_used_peak_bytes", Gauge, "The most used memory so far."),
    ("used_memory_overhead", "redis_memory_used_overhead_bytes", Gauge, "Used memory without that of the keys."),
    ("used_memory_startup", "redis_memory_used_startup_bytes", Gauge, "Memory of the process at its start."),
    ("used_memory_dataset", "redis_memory_used_dataset_bytes", Gauge, "Memory of the keys."),
    ("allocator_allocated", "redis_allocator_allocated_bytes", Gauge, "As redis_memory_used_bytes."),
    ("allocator_active", "redis_allocator_active_bytes", Gauge, "As redis_memory_used_rss_bytes."),
    ("allocator_resident", "redis_allocator_resident_bytes", Gauge, "As redis_memory_used_rss_bytes."),
    ("total_system_memory", "redis_total_system_memory_bytes", Gauge, "Memory of the machine."),
    ("used_memory_lua", "redis_memory_used_lua_bytes", Gauge, "Memory of the engines for Lua."),
    ("used_memory_scripts", "redis_memory_used_scripts_bytes", Gauge, "Memory of the texts of scripts."),
    ("number_of_cached_scripts", "redis_number_of_cached_scripts", Gauge, "Scripts that EVALSHA finds."),
    ("maxmemory", "redis_memory_max_bytes", Gauge, "The setting maxmemory."),
    ("allocator_frag_ratio", "redis_allocator_frag_ratio", Gauge, "As redis_mem_fragmentation_ratio."),
    ("allocator_frag_bytes", "redis_allocator_frag_bytes", Gauge, "As redis_mem_fragmentation_bytes."),
    ("allocator_rss_ratio", "redis_allocator_rss_ratio", Gauge, "Always 1."),
    ("allocator_rss_bytes", "redis_allocator_rss_bytes", Gauge, "Always 0."),
    ("mem_fragmentation_ratio", "redis_mem_fragmentation_ratio", Gauge, "Resident memory by used memory."),
    ("mem_fragmentation_ratio", "redis_memory_fragmentation_ratio", Gauge, "As redis_mem_fragmentation_ratio."),
    ("mem_fragmentation_bytes", "redis_mem_fragmentation_bytes", Gauge, "Resident memory beyond the used memory."),
    ("mem_clients_normal", "redis_mem_clients_normal", Gauge, "Memory of all clients, in bytes."),
    ("mem_clients_slaves", "redis_mem_clients_slaves", Gauge, "Always 0."),
    // Persistence
    ("loading", "redis_loading_dump_file", Gauge, "Always 0."),
    ("rdb_changes_since_last_save", "redis_rdb_changes_since_last_save", Gauge, "Changes of keys since the last save."),
    ("rdb_bgsave_in_progress", "redis_rdb_bgsave_in_progress", Gauge, "Always 0."),
    ("rdb_last_save_time", "redis_rdb_last_save_timestamp_seconds", Gauge, "Time of the last save, or of the start."),
    ("rdb_last_bgsave_status", "redis_rdb_last_bgsave_status", Gauge, "Always 1."),
    ("aof_enabled", "redis_aof_enabled", Gauge, "Always 0."),
    ("aof_last_write_status", "redis_aof_last_write_status", Gauge, "Always 1."),
    // Stats
    ("total_connections_received", "redis_connections_received_total", Counter, "Connections that were accepted."),
    ("total_commands_processed", "redis_commands_processed_total", Counter, "Commands that ran."),
    ("total_net_input_bytes", "redis_net_input_bytes_total", Counter, "Bytes read from clients."),
    ("total_net_output_bytes", "redis_net_output_bytes_total", Counter, "Bytes written to clients."),
    ("rejected_connections", "redis_rejected_connections_total", Counter, "Connections beyond maxclients."),
    ("expired_keys", "redis_expired_keys_total", Counter, "Keys that expired."),
    ("evicted_keys", "redis_evicted_keys_total", Counter, "Always 0: nothing is evicted."),
    ("evicted_clients", "redis_evicted_clients_total", Counter, "Clients closed for maxmemory-clients."),
    ("keyspace_hits", "redis_keyspace_hits_total", Counter, "Reads of a key that existed."),
    ("keyspace_misses", "redis_keyspace_misses_total", Counter, "Reads of a key that did not exist."),
    ("pubsub_channels", "redis_pubsub_channels", Gauge, "Channels with a subscriber."),
    ("pubsub_patterns", "redis_pubsub_patterns", Gauge, "Patterns with a subscriber."),
    ("pubsubshard_channels", "redis_pubsubshard_channels", Gauge, "Shard channels with a subscriber."),
    ("tracking_total_keys", "redis_tracking_total_keys", Gauge, "Keys of which a client has a copy."),
    ("tracking_total_items", "redis_tracking_total_items", Gauge, "Copies of keys at clients."),
    ("tracking_total_prefixes", "redis_tracking_total_prefixes", Gauge, "Prefixes that clients track."),
    ("unexpected_error_replies", "redis_unexpected_error_replies", Counter, "Always 0."),
    ("total_error_replies", "redis_total_error_replies", Counter, "Replies that were errors."),
    ("total_reads_processed", "redis_total_reads_processed", Counter, "Reads from sockets."),
    ("total_writes_processed", "redis_total_writes_processed", Counter, "Writes to sockets."),
    ("acl_access_denied_auth", "redis_acl_access_denied_auth_total", Counter, "Logins with a wrong name or password."),
    ("acl_access_denied_cmd", "redis_acl_access_denied_cmd_total", Counter, "Commands that a user may not run."),
    ("acl_access_denied_key", "redis_acl_access_denied_key_total", Counter, "Keys that a user may not use."),
    ("acl_access_denied_channel", "redis_acl_access_denied_channel_total", Counter, "Channels that a user may not use."),
    ("acl_access_denied_tls_cert", "redis_acl_access_denied_tls_cert_total", Counter, "Certificates that name no user."),
    ("client_query_buffer_limit_disconnections", "redis_client_query_buffer_limit_disconnections_total", Counter, "Clients closed for a request beyond client-query-buffer-limit."),
    ("client_output_buffer_limit_disconnections", "redis_client_output_buffer_limit_disconnections_total", Counter, "Clients closed for client-output-buffer-limit."),
    ("pubsub_messages_published", "broker_messages_published_total", Counter, "Messages that were published."),
    ("pubsub_messages_delivered", "broker_messages_delivered_total", Counter, "Copies of messages that were queued for subscribers."),
    ("pubsub_messages_dropped", "broker_messages_dropped_total", Counter, "Messages that slow subscribers have lost by pubsub-slow-policy."),
    ("pubsub_taps", "broker_taps", Gauge, "Taps of clients."),
    ("pubsub_outbox_bytes", "broker_outbox_bytes", Gauge, "Bytes that clients have not read yet."),
    // Replication
    ("connected_slaves", "redis_connected_slaves", Gauge, "Always 0."),
    ("master_repl_offset", "redis_master_repl_offset", Gauge, "Always 0."),
    // CPU
    ("used_cpu_sys", "redis_cpu_sys_seconds_total", Counter, "Processor time of the kernel for the process."),
    ("used_cpu_user", "redis_cpu_user_seconds_total", Counter, "Processor time of the process."),
    ("used_cpu_sys_main_thread", "redis_cpu_sys_main_thread_seconds_total", Counter, "Processor time of the kernel for the first thread that serves clients."),
    ("used_cpu_user_main_thread", "redis_cpu_user_main_thread_seconds_total", Counter, "Processor time of the first thread that serves clients."),
    // TLS
    ("tls_server_cert_expires_in_seconds", "redis_tls_server_cert_expires_in_seconds", Gauge, "Time until the server's certificate ends."),
    ("tls_ca_cert_expires_in_seconds", "redis_tls_ca_cert_expires_in_seconds", Gauge, "Time until the first certificate of an authority ends."),
    // Cluster
    ("cluster_enabled", "redis_cluster_enabled", Gauge, "Always 0."),
];
