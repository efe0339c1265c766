-- The newest sample of each agent.
-- $1 from, $2 to, $3 agents, $4 hosts, $5 roles, $6 tools, $7 runtimes, $8 states; a list that is null chooses
-- everything. The recursion hops through the primary key (agent_name, host, time) from one series to the next, so the
-- work grows with the number of series and not with that of their samples.
WITH RECURSIVE series AS (
    (SELECT agent_name, host FROM agent_metrics WHERE time >= $1 AND time < $2 ORDER BY agent_name, host LIMIT 1)
    UNION ALL
    SELECT after.agent_name, after.host
    FROM series, LATERAL (
        SELECT agent_name, host
        FROM agent_metrics
        WHERE time >= $1 AND time < $2 AND (agent_name, host) > (series.agent_name, series.host)
        ORDER BY agent_name, host
        LIMIT 1
    ) AS after
)
SELECT newest.*
FROM series, LATERAL (
    SELECT time, agent_name, role, tool, runtime, state, host,
           cpu_percent, mem_used_bytes, mem_limit_bytes, mem_percent,
           net_rx_bytes, net_tx_bytes, disk_read_bytes, disk_write_bytes
    FROM agent_metrics AS metrics
    WHERE metrics.agent_name = series.agent_name AND metrics.host = series.host
      AND metrics.time >= $1 AND metrics.time < $2
    ORDER BY metrics.time DESC
    LIMIT 1
) AS newest
WHERE ($3::text[] IS NULL OR series.agent_name = ANY ($3))
  AND ($4::text[] IS NULL OR series.host = ANY ($4))
  AND ($5::text[] IS NULL OR newest.role = ANY ($5))
  AND ($6::text[] IS NULL OR newest.tool = ANY ($6))
  AND ($7::text[] IS NULL OR newest.runtime = ANY ($7))
  AND ($8::text[] IS NULL OR newest.state = ANY ($8))
