-- Known losses, the newest first.
-- $1 from, $2 to, $3 hosts: a list that is null chooses everything; $4 how many at the most.
SELECT time, from_time, to_time, events, what, reason, host
FROM gaps
WHERE time >= $1 AND time < $2
  AND ($3::text[] IS NULL OR host = ANY ($3))
ORDER BY time DESC, host DESC, what DESC
LIMIT $4
