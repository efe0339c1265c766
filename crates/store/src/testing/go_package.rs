//! The Go package's tables, empty, as a database of its users has them.

/// The tables, without keys and with every column nullable: every row that it ever wrote fits.
pub const GO_TABLES: &str = "
    CREATE TABLE system_metrics (
        time timestamptz, system_name text, cpu_percent double precision, mem_used_bytes bigint,
        mem_limit_bytes bigint, mem_percent double precision, net_rx_bytes bigint, net_tx_bytes bigint,
        disk_read_bytes bigint, disk_write_bytes bigint);
    CREATE TABLE agent_metrics (
        time timestamptz, agent_name text, role text, tool text, runtime text, state text,
        cpu_percent double precision, mem_used_bytes bigint, mem_limit_bytes bigint, mem_percent double precision,
        net_rx_bytes bigint, net_tx_bytes bigint, disk_read_bytes bigint, disk_write_bytes bigint);
    CREATE TABLE channel_metrics (
        time timestamptz, channel_name text, message_count bigint, member_count bigint, reaction_count bigint);
    CREATE TABLE token_metrics (
        time timestamptz, agent_name text, model text, input_tokens bigint, output_tokens bigint,
        cache_read bigint, cache_create bigint, cost_usd double precision);";

/// Makes hypertables of them, with TimescaleDB's default index on time.
pub const GO_HYPERTABLES: &str = "
    SET client_min_messages = warning;
    CREATE EXTENSION IF NOT EXISTS timescaledb;
    SELECT create_hypertable('system_metrics', 'time'), create_hypertable('agent_metrics', 'time'),
           create_hypertable('channel_metrics', 'time'), create_hypertable('token_metrics', 'time');";
