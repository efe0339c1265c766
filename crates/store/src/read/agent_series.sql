-- Agents in buckets; what each value means stands in the documentation of the crate `query`.
-- $1 interval, $2 from, $3 to, $4 agents, $5 hosts, $6 roles, $7 tools, $8 runtimes, $9 states; a list that is null
-- chooses everything. $10 is 0 or 1 for one of two halves of the agents, or null.
-- Each series by itself, found as in agent_latest.sql: the primary key (agent_name, host, time) hands its rows over, and
-- what is sorted and grouped is small. One window over all series takes 1.4 times as long (docs/benchmarks.md).
WITH RECURSIVE series AS (
    (SELECT agent_name, host FROM agent_metrics WHERE time >= $2 AND time < $3 ORDER BY agent_name, host LIMIT 1)
    UNION ALL
    SELECT after.agent_name, after.host
    FROM series, LATERAL (
        SELECT agent_name, host
        FROM agent_metrics
        WHERE time >= $2 AND time < $3 AND (agent_name, host) > (series.agent_name, series.host)
        ORDER BY agent_name, host
        LIMIT 1
    ) AS after
)
SELECT bucket, agent_name, role, tool, runtime, state, host, cpu_percent, mem_used_bytes, mem_limit_bytes, mem_percent,
       net_rx_bytes, net_tx_bytes, disk_read_bytes, disk_write_bytes,
       net_rx_per_second, net_tx_per_second, disk_read_per_second, disk_write_per_second
FROM series, LATERAL (
    WITH sample AS (
        SELECT time, {bucket} AS bucket,
               role, tool, runtime, state, cpu_percent, mem_used_bytes, mem_limit_bytes, mem_percent,
               net_rx_bytes, net_tx_bytes, disk_read_bytes, disk_write_bytes,
               net_rx_bytes - lag(net_rx_bytes) OVER by_time AS net_rx_step,
               net_tx_bytes - lag(net_tx_bytes) OVER by_time AS net_tx_step,
               disk_read_bytes - lag(disk_read_bytes) OVER by_time AS disk_read_step,
               disk_write_bytes - lag(disk_write_bytes) OVER by_time AS disk_write_step,
               date_part('epoch', time - lag(time) OVER by_time) AS seconds,
               lead(time) OVER by_time AS time_after
        FROM agent_metrics AS metrics
        WHERE metrics.agent_name = series.agent_name AND metrics.host = series.host
          AND metrics.time >= $2 AND metrics.time < $3
        WINDOW by_time AS (ORDER BY time)
    ), marked AS (
        SELECT *, time_after IS NULL OR time_after >= bucket + $1 AS is_last FROM sample
    )
    SELECT bucket,
           -- One row of a bucket is the last, so its maximum is that row's value.
           max(role) FILTER (WHERE is_last) AS role,
           max(tool) FILTER (WHERE is_last) AS tool,
           max(runtime) FILTER (WHERE is_last) AS runtime,
           max(state) FILTER (WHERE is_last) AS state,
           sum(cpu_percent) / count(cpu_percent) AS cpu_percent,
           sum(mem_used_bytes::float8) / count(mem_used_bytes) AS mem_used_bytes,
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
    GROUP BY bucket
) AS cut
WHERE ($4::text[] IS NULL OR series.agent_name = ANY ($4))
  AND ($5::text[] IS NULL OR series.host = ANY ($5))
  AND ($6::text[] IS NULL OR role = ANY ($6))
  AND ($7::text[] IS NULL OR tool = ANY ($7))
  AND ($8::text[] IS NULL OR runtime = ANY ($8))
  AND ($9::text[] IS NULL OR state = ANY ($9))
  AND ($10::integer IS NULL OR hashtext(series.agent_name) & 1 = $10)
