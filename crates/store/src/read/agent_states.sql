-- What agents said of themselves, the newest first.
-- $1 from, $2 to, $3 agents, $4 hosts, $5 roles, $6 tools, $7 runtimes, $8 states: a list that is null chooses
-- everything; $9 how many at the most.
SELECT time, agent_name, role, tool, runtime, state, started_at, host
FROM agent_states
WHERE time >= $1 AND time < $2
  AND ($3::text[] IS NULL OR agent_name = ANY ($3))
  AND ($4::text[] IS NULL OR host = ANY ($4))
  AND ($5::text[] IS NULL OR role = ANY ($5))
  AND ($6::text[] IS NULL OR tool = ANY ($6))
  AND ($7::text[] IS NULL OR runtime = ANY ($7))
  AND ($8::text[] IS NULL OR state = ANY ($8))
ORDER BY time DESC, agent_name DESC, host DESC
LIMIT $9
