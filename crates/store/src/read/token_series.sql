-- Tokens and what they cost; what each value means stands in the documentation of the crate `query`.
-- $1 how the range is cut: an interval, or the starts; $2 from, $3 to, $4 agents, $5 models, $6 hosts, $7 tools: a list
-- that is null chooses everything; $8, $9, $10 whether rows tell agents, models and hosts apart. The rule which row
-- prices a call is that of the view token_costs; here it is decided once for each model and host, not for each call.
WITH used AS (
    SELECT {start} AS start, time, agent_name, model, host,
           input_tokens, output_tokens, cache_read, cache_create, cost_usd,
           input_tokens::numeric + cache_read + cache_create AS context,
           least(cache_create_1h, cache_create) AS hour
    FROM token_metrics
    WHERE time >= $2 AND time < $3
      AND ($4::text[] IS NULL OR agent_name = ANY ($4))
      AND ($5::text[] IS NULL OR model = ANY ($5))
      AND ($6::text[] IS NULL OR host = ANY ($6))
      AND ($7::text[] IS NULL OR tool = ANY ($7))
), name AS (
    SELECT model, host, lower(model COLLATE "C") AS written, tailwater_plain_model(model) AS plain
    FROM (SELECT DISTINCT model, host FROM used WHERE cost_usd IS NULL) AS unreported
), candidate AS (
    SELECT name.model AS used_model, name.host AS used_host, price.*,
           tstzrange(price.effective_from, price.effective_to) AS life,
           row_number() OVER (
               PARTITION BY name.model, name.host
               ORDER BY price.matches = 'exact' DESC, length(price.model) DESC, price.matches = 'model' DESC,
                        tailwater_price_origin(price.source) DESC,
                        price.effective_from DESC, price.host DESC, price.source
           ) AS place
    FROM name
    JOIN model_prices AS price
      ON price.host IN ('', name.host)
     AND tailwater_price_fits(price.matches, price.model, name.written, name.plain)
), price AS (
    -- The times that better rows have are taken off, so that every call falls under one row at the most.
    SELECT candidate.*, unnest(tstzmultirange(candidate.life) - coalesce((
        SELECT range_agg(better.life)
        FROM candidate AS better
        WHERE better.used_model = candidate.used_model AND better.used_host = candidate.used_host
          AND better.place < candidate.place
    ), '{}')) AS during
    FROM candidate
), costed AS (
    SELECT used.*, CASE WHEN price.model IS NULL THEN NULL ELSE (
        tailwater_cost_part(used.input_tokens, CASE WHEN is_long THEN price.long_input ELSE price.input END)
      + tailwater_cost_part(used.output_tokens, CASE WHEN is_long THEN price.long_output ELSE price.output END)
      + tailwater_cost_part(used.cache_read, CASE WHEN is_long THEN price.long_cache_read ELSE price.cache_read END)
      + tailwater_cost_part(used.cache_create - hour,
                            CASE WHEN is_long THEN price.long_cache_write_5m ELSE price.cache_write_5m END)
      + tailwater_cost_part(hour, CASE WHEN is_long THEN price.long_cache_write_1h ELSE price.cache_write_1h END)
    ) / 1000000 END AS computed
    FROM used
    LEFT JOIN price
      ON used.cost_usd IS NULL AND price.used_model = used.model AND price.used_host = used.host
     AND used.time <@ price.during
    CROSS JOIN LATERAL (SELECT used.context > price.long_context_above_tokens AS is_long) AS size
)
SELECT start,
       CASE WHEN $8 THEN agent_name ELSE '' END AS agent,
       CASE WHEN $9 THEN model ELSE '' END AS called,
       CASE WHEN $10 THEN host ELSE '' END AS place,
       least(sum(input_tokens), 9223372036854775807)::bigint,
       least(sum(output_tokens), 9223372036854775807)::bigint,
       least(sum(cache_read), 9223372036854775807)::bigint,
       least(sum(cache_create), 9223372036854775807)::bigint,
       sum(coalesce(cost_usd, computed)),
       sum(cost_usd),
       count(*) FILTER (WHERE coalesce(cost_usd, computed) IS NULL)
FROM costed
GROUP BY start, agent, called, place
