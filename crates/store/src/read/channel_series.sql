-- Channels in buckets; what each value means stands in the documentation of the crate `query`.
-- $1 interval, $2 from, $3 to, $4 channels, $5 hosts; a list that is null chooses everything. A sum of bigint is a
-- numeric and exact; 9223372036854775807 is the most that we answer.
SELECT {bucket} AS bucket, channel_name, host,
       least(sum(message_count), 9223372036854775807)::bigint,
       (array_agg(member_count ORDER BY time DESC))[1],
       least(sum(reaction_count), 9223372036854775807)::bigint
FROM channel_metrics
WHERE time >= $2 AND time < $3
  AND ($4::text[] IS NULL OR channel_name = ANY ($4))
  AND ($5::text[] IS NULL OR host = ANY ($5))
GROUP BY bucket, channel_name, host
