-- What the agents of one name did in a range; no row when there is no sample of one.
-- $1 agent, $2 from, $3 to. A sum of bigint is a numeric and exact; 9223372036854775807 is the most that we answer.
WITH sample AS (
    SELECT cpu_percent, mem_used_bytes, mem_percent,
           net_rx_bytes, net_tx_bytes, disk_read_bytes, disk_write_bytes,
           net_rx_bytes - lag(net_rx_bytes) OVER series AS net_rx_step,
           net_tx_bytes - lag(net_tx_bytes) OVER series AS net_tx_step,
           disk_read_bytes - lag(disk_read_bytes) OVER series AS disk_read_step,
           disk_write_bytes - lag(disk_write_bytes) OVER series AS disk_write_step
    FROM agent_metrics
    WHERE agent_name = $1 AND time >= $2 AND time < $3
    WINDOW series AS (PARTITION BY agent_name, host ORDER BY time)
), total AS (
    SELECT sum(cpu_percent) / count(cpu_percent) AS cpu_percent,
           max(cpu_percent) AS cpu_percent_max,
           -- Halves up, in whole numbers.
           div(sum(mem_used_bytes) * 2 + count(mem_used_bytes), count(mem_used_bytes)::numeric * 2) AS mem_used_bytes,
           max(mem_used_bytes) AS mem_used_bytes_max,
           sum(mem_percent) / count(mem_percent) AS mem_percent,
           -- A step down is a restart: the counter began at zero.
           sum(CASE WHEN disk_read_step < 0 THEN disk_read_bytes ELSE disk_read_step END) AS disk_read,
           sum(CASE WHEN disk_write_step < 0 THEN disk_write_bytes ELSE disk_write_step END) AS disk_write,
           sum(CASE WHEN net_rx_step < 0 THEN net_rx_bytes ELSE net_rx_step END) AS net_rx,
           sum(CASE WHEN net_tx_step < 0 THEN net_tx_bytes ELSE net_tx_step END) AS net_tx
    FROM sample
), newest AS (
    SELECT role, tool, runtime, state
    FROM agent_metrics
    WHERE agent_name = $1 AND time >= $2 AND time < $3
    ORDER BY time DESC, host COLLATE "C" DESC
    LIMIT 1
)
SELECT role, tool, runtime, state, cpu_percent, cpu_percent_max,
       mem_used_bytes::bigint, mem_used_bytes_max, mem_percent,
       CASE WHEN disk_read > 9223372036854775807 THEN 9223372036854775807 ELSE disk_read::bigint END,
       CASE WHEN disk_write > 9223372036854775807 THEN 9223372036854775807 ELSE disk_write::bigint END,
       CASE WHEN net_rx > 9223372036854775807 THEN 9223372036854775807 ELSE net_rx::bigint END,
       CASE WHEN net_tx > 9223372036854775807 THEN 9223372036854775807 ELSE net_tx::bigint END
FROM newest, total
