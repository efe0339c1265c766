-- Systems in buckets; what each value means stands in the documentation of the crate `query`.
-- $1 interval, $2 from, $3 to, $4 systems, $5 hosts; a list that is null chooses everything. The primary key
-- (system_name, host, time) gives the window its order without a sort.
WITH sample AS (
    SELECT system_name, host, time, {bucket} AS bucket,
           cpu_percent, mem_used_bytes, mem_limit_bytes, mem_percent,
           net_rx_bytes, net_tx_bytes, disk_read_bytes, disk_write_bytes,
           net_rx_bytes - lag(net_rx_bytes) OVER series AS net_rx_step,
           net_tx_bytes - lag(net_tx_bytes) OVER series AS net_tx_step,
           disk_read_bytes - lag(disk_read_bytes) OVER series AS disk_read_step,
           disk_write_bytes - lag(disk_write_bytes) OVER series AS disk_write_step,
           date_part('epoch', time - lag(time) OVER series) AS seconds,
           lead(time) OVER series AS time_after
    FROM system_metrics
    WHERE time >= $2 AND time < $3
      AND ($4::text[] IS NULL OR system_name = ANY ($4))
      AND ($5::text[] IS NULL OR host = ANY ($5))
    WINDOW series AS (PARTITION BY system_name, host ORDER BY time)
), marked AS (
    SELECT *, time_after IS NULL OR time_after >= bucket + $1 AS is_last FROM sample
), bucket AS (
    SELECT bucket, system_name, host,
           sum(cpu_percent) / count(cpu_percent) AS cpu_percent,
           sum(mem_used_bytes::float8) / count(mem_used_bytes) AS mem_used_bytes,
           -- One row of a bucket is the last, so its maximum is that row's value.
           max(mem_limit_bytes) FILTER (WHERE is_last) AS mem_limit_bytes,
           sum(mem_percent) / count(mem_percent) AS mem_percent,
           max(net_rx_bytes) FILTER (WHERE is_last) AS net_rx_bytes,
           max(net_tx_bytes) FILTER (WHERE is_last) AS net_tx_bytes,
           max(disk_read_bytes) FILTER (WHERE is_last) AS disk_read_bytes,
           max(disk_write_bytes) FILTER (WHERE is_last) AS disk_write_bytes,
           -- A step down is a restart: the counter began at zero.
           sum((CASE WHEN net_rx_step < 0 THEN net_rx_bytes ELSE net_rx_step END)::float8)
               / sum(seconds) FILTER (WHERE net_rx_step IS NOT NULL) AS net_rx_per_second,
           sum((CASE WHEN net_tx_step < 0 THEN net_tx_bytes ELSE net_tx_step END)::float8)
               / sum(seconds) FILTER (WHERE net_tx_step IS NOT NULL) AS net_tx_per_second,
           sum((CASE WHEN disk_read_step < 0 THEN disk_read_bytes ELSE disk_read_step END)::float8)
               / sum(seconds) FILTER (WHERE disk_read_step IS NOT NULL) AS disk_read_per_second,
           sum((CASE WHEN disk_write_step < 0 THEN disk_write_bytes ELSE disk_write_step END)::float8)
               / sum(seconds) FILTER (WHERE disk_write_step IS NOT NULL) AS disk_write_per_second
    FROM marked
    GROUP BY bucket, system_name, host
)
SELECT bucket, system_name, host, cpu_percent, mem_used_bytes, mem_limit_bytes, mem_percent,
       net_rx_bytes, net_tx_bytes, disk_read_bytes, disk_write_bytes,
       net_rx_per_second, net_tx_per_second, disk_read_per_second, disk_write_per_second
FROM bucket
