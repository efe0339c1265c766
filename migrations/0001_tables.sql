-- The projection's tables: plain tables here; what the edition offers (hypertables) is added by the store's
-- `ensure` step after every start, so that the same migration serves PostgreSQL and TimescaleDB.
--
-- The metric tables keep the names and columns of the Go package's; `host`, the provenance (log_no, position)
-- and the newer fields stand behind them. Every row says which event made it. NULL is "not measured".
-- NOTE: no foreign key leads from the metric tables to tailwater_logs: it would cost a lookup for every row.
-- The texts of the keys are compared byte by byte, whatever the database's collation is: a COPY spends much of its
-- time on that (docs/benchmarks.md).

CREATE TABLE tailwater_logs (
    log_no     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log_id     uuid        NOT NULL UNIQUE,
    host       text        NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE tailwater_logs IS 'The logs that were ever projected into this database.';

CREATE TABLE tailwater_ranges (
    log_no        integer NOT NULL REFERENCES tailwater_logs,
    lo            bigint  NOT NULL CHECK (lo >= 1),
    next          bigint  NOT NULL,
    hi            bigint,
    digest        bigint CHECK (digest BETWEEN 0 AND 4294967295),
    digest_at     bigint,
    writer        uuid,
    backend       integer,
    backend_start timestamptz,
    claimed_at    timestamptz,
    applied_at    timestamptz,
    PRIMARY KEY (log_no, lo),
    CHECK (next >= lo),
    CHECK (hi IS NULL OR next <= hi),
    CHECK ((digest IS NULL) = (digest_at IS NULL))
);
CREATE UNIQUE INDEX tailwater_ranges_live ON tailwater_ranges (log_no) WHERE hi IS NULL;
COMMENT ON TABLE tailwater_ranges IS
    'Progress: positions [lo, next) of a log are applied, [next, hi) are to come; the live range has no hi.';
COMMENT ON COLUMN tailwater_ranges.digest IS 'CRC-32C of the last applied record, which lies at digest_at.';

CREATE TABLE tailwater_replays (
    replay_no   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid        NOT NULL UNIQUE,
    log_no      integer     NOT NULL REFERENCES tailwater_logs,
    request     text        NOT NULL,
    lo          bigint      NOT NULL CHECK (lo >= 1),
    hi          bigint      NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CHECK (lo < hi)
);
COMMENT ON TABLE tailwater_replays IS 'Replays of logs into this database; they never make or move a projection''s range.';
COMMENT ON COLUMN tailwater_replays.request IS 'What was asked for; an unfinished replay of the same request goes on.';

CREATE TABLE tailwater_replay_ranges (
    replay_no     integer NOT NULL REFERENCES tailwater_replays ON DELETE CASCADE,
    lo            bigint  NOT NULL CHECK (lo >= 1),
    next          bigint  NOT NULL,
    hi            bigint  NOT NULL,
    digest        bigint CHECK (digest BETWEEN 0 AND 4294967295),
    digest_at     bigint,
    writer        uuid,
    backend       integer,
    backend_start timestamptz,
    claimed_at    timestamptz,
    applied_at    timestamptz,
    PRIMARY KEY (replay_no, lo),
    CHECK (next BETWEEN lo AND hi),
    CHECK ((digest IS NULL) = (digest_at IS NULL))
);
COMMENT ON TABLE tailwater_replay_ranges IS 'Progress of replays, as tailwater_ranges has that of projections.';

CREATE TABLE tailwater_quarantine (
    log_no   integer     NOT NULL REFERENCES tailwater_logs,
    position bigint      NOT NULL CHECK (position >= 1),
    kind     text        NOT NULL,
    sqlstate text        NOT NULL,
    message  text        NOT NULL,
    record   bytea       NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (log_no, position)
);
-- For the count of an hour, which every batch with a refusal asks for.
CREATE INDEX tailwater_quarantine_recent ON tailwater_quarantine (log_no, sqlstate, first_at);
COMMENT ON TABLE tailwater_quarantine IS 'Events that this database refused for their own content.';
COMMENT ON COLUMN tailwater_quarantine.record IS 'The payload of the event''s record: a MessagePack array.';
COMMENT ON COLUMN tailwater_quarantine.first_at IS 'When it was first refused; at is the last time.';

-- NOTE: what is here beside the counts is how far each copy is; it moves in the transaction of the copied rows.
CREATE TABLE tailwater_adoptions (
    name          text        PRIMARY KEY,
    log_no        integer     NOT NULL REFERENCES tailwater_logs,
    next_time     timestamptz NOT NULL,
    next_position bigint      NOT NULL DEFAULT 1 CHECK (next_position >= 1),
    rows          bigint,
    copied        bigint      NOT NULL DEFAULT 0,
    present       bigint      NOT NULL DEFAULT 0,
    duplicates    bigint      NOT NULL DEFAULT 0,
    filled        bigint      NOT NULL DEFAULT 0,
    refused       jsonb,
    began_at      timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    CHECK ((finished_at IS NULL) = (rows IS NULL)),
    CHECK ((finished_at IS NULL) = (refused IS NULL))
);
COMMENT ON TABLE tailwater_adoptions IS
    'Tables of the Go package, kept as <name>_bc: what became of their rows, by `tailwater migrate --adopt-bc`.';
COMMENT ON COLUMN tailwater_adoptions.next_time IS 'Rows of earlier times are copied.';
COMMENT ON COLUMN tailwater_adoptions.next_position IS 'The position of the next row: its number in the order of time.';
COMMENT ON COLUMN tailwater_adoptions.refused IS 'Rows that could not be copied: how many, by the reason.';

CREATE TABLE system_metrics (
    time             timestamptz NOT NULL,
    system_name      text COLLATE "C" NOT NULL,
    cpu_percent      double precision,
    mem_used_bytes   bigint,
    mem_limit_bytes  bigint,
    mem_percent      double precision,
    net_rx_bytes     bigint,
    net_tx_bytes     bigint,
    disk_read_bytes  bigint,
    disk_write_bytes bigint,
    host             text COLLATE "C" NOT NULL,
    log_no           integer     NOT NULL,
    position         bigint      NOT NULL,
    PRIMARY KEY (system_name, host, time)
);

CREATE TABLE agent_metrics (
    time             timestamptz NOT NULL,
    agent_name       text COLLATE "C" NOT NULL,
    role             text        NOT NULL DEFAULT '',
    tool             text        NOT NULL DEFAULT '',
    runtime          text        NOT NULL DEFAULT '',
    state            text        NOT NULL DEFAULT '',
    cpu_percent      double precision,
    mem_used_bytes   bigint,
    mem_limit_bytes  bigint,
    mem_percent      double precision,
    net_rx_bytes     bigint,
    net_tx_bytes     bigint,
    disk_read_bytes  bigint,
    disk_write_bytes bigint,
    host             text COLLATE "C" NOT NULL,
    log_no           integer     NOT NULL,
    position         bigint      NOT NULL,
    PRIMARY KEY (agent_name, host, time)
);

CREATE TABLE channel_metrics (
    time           timestamptz NOT NULL,
    channel_name   text COLLATE "C" NOT NULL,
    message_count  bigint      NOT NULL,
    member_count   bigint,
    reaction_count bigint      NOT NULL,
    host           text COLLATE "C" NOT NULL,
    log_no         integer     NOT NULL,
    position       bigint      NOT NULL,
    PRIMARY KEY (channel_name, host, time)
);

CREATE TABLE token_metrics (
    time             timestamptz NOT NULL,
    agent_name       text COLLATE "C" NOT NULL,
    model            text COLLATE "C" NOT NULL,
    input_tokens     bigint      NOT NULL,
    output_tokens    bigint      NOT NULL,
    cache_read       bigint      NOT NULL DEFAULT 0,
    cache_create     bigint      NOT NULL DEFAULT 0,
    cost_usd         double precision,
    tool             text        NOT NULL DEFAULT '',
    session_id       text        NOT NULL DEFAULT '',
    message_id       text COLLATE "C" NOT NULL DEFAULT '',
    cache_create_1h  bigint      NOT NULL DEFAULT 0,
    reasoning_tokens bigint      NOT NULL DEFAULT 0,
    final            boolean     NOT NULL DEFAULT false,
    host             text COLLATE "C" NOT NULL,
    log_no           integer     NOT NULL,
    position         bigint      NOT NULL,
    PRIMARY KEY (agent_name, host, model, time, message_id)
);
COMMENT ON COLUMN token_metrics.cost_usd IS 'The cost as reported; the computed cost is joined when read.';

-- Prices. What is embedded and what stands in a prices.toml is mirrored here at the start of whoever projects; rows of
-- any other source are their owner's and stay as they are. A rate is for a million tokens; NULL is not known.
CREATE TABLE model_prices (
    provider       text COLLATE "C"  NOT NULL DEFAULT '',
    model          text COLLATE "C"  NOT NULL CHECK (model <> ''),
    matches        text COLLATE "C"  NOT NULL DEFAULT 'model' CHECK (matches IN ('exact', 'model', 'family')),
    host           text COLLATE "C"  NOT NULL DEFAULT '',
    effective_from timestamptz       NOT NULL DEFAULT '-infinity',
    effective_to   timestamptz       NOT NULL DEFAULT 'infinity',
    currency       text              NOT NULL DEFAULT 'USD' CHECK (currency = 'USD'),
    input          double precision  CHECK (input >= 0 AND input < 'infinity'),
    output         double precision  CHECK (output >= 0 AND output < 'infinity'),
    cache_write_5m double precision  CHECK (cache_write_5m >= 0 AND cache_write_5m < 'infinity'),
    cache_write_1h double precision  CHECK (cache_write_1h >= 0 AND cache_write_1h < 'infinity'),
    cache_read     double precision  CHECK (cache_read >= 0 AND cache_read < 'infinity'),
    long_context_above_tokens bigint CHECK (long_context_above_tokens >= 0),
    long_input          double precision CHECK (long_input >= 0 AND long_input < 'infinity'),
    long_output         double precision CHECK (long_output >= 0 AND long_output < 'infinity'),
    long_cache_write_5m double precision CHECK (long_cache_write_5m >= 0 AND long_cache_write_5m < 'infinity'),
    long_cache_write_1h double precision CHECK (long_cache_write_1h >= 0 AND long_cache_write_1h < 'infinity'),
    long_cache_read     double precision CHECK (long_cache_read >= 0 AND long_cache_read < 'infinity'),
    source         text COLLATE "C"  NOT NULL DEFAULT 'manual',
    is_checked     boolean           NOT NULL DEFAULT true,
    PRIMARY KEY (model, matches, effective_from, source, host),
    CHECK (effective_from < effective_to)
);
COMMENT ON TABLE model_prices IS
    'List prices in US dollars for a million tokens; from docs/prices.md comes which row a call falls under.';
COMMENT ON COLUMN model_prices.matches IS
    'exact: this name alone; model: it and its releases; family: every name that goes on behind it.';
COMMENT ON COLUMN model_prices.host IS 'Whose usage it is for; empty is every host''s.';
COMMENT ON COLUMN model_prices.source IS
    'embedded or prices.toml: written anew when tailwater starts; anything else is left alone and comes first.';

-- IMPORTANT: the next functions and the view are the rule of usage::prices; tests of the store compare both. Each is one
-- expression, so that the planner puts it where it is called.
CREATE FUNCTION tailwater_plain_model(model text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(
    regexp_replace(lower(model COLLATE "C"), '^.*/', ''),
    '^([a-z-]+[.])?(anthropic|openai)[.]', '');
COMMENT ON FUNCTION tailwater_plain_model IS 'A model''s name without the gateway, the region and the vendor in front of it.';

CREATE FUNCTION tailwater_price_fits(matches text, priced text, written text, plain text)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN matches = 'exact' THEN priced = written
    WHEN NOT starts_with(plain, priced) THEN false
    WHEN matches = 'family' THEN substr(plain, length(priced) + 1) !~ '^[0-9a-z]'
    ELSE substr(plain, length(priced) + 1)
        ~ '^([-@]([0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}|latest|v[0-9]+))*(:[0-9]+)?(\[1m\])?$'
END;
COMMENT ON FUNCTION tailwater_price_fits IS
    'Whether a row of model_prices is for a model: its name in small letters, as written and plain.';

CREATE FUNCTION tailwater_price_origin(source text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE source WHEN 'embedded' THEN 0 WHEN 'prices.toml' THEN 1 ELSE 2 END;
COMMENT ON FUNCTION tailwater_price_origin IS 'How near to its owner a price is: the greater one comes first.';

CREATE FUNCTION tailwater_cost_part(tokens double precision, rate double precision)
RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN tokens = 0 THEN 0 ELSE tokens * rate END;
COMMENT ON FUNCTION tailwater_cost_part IS 'Millionths of dollars; no tokens cost nothing, whether their rate is known or not.';

CREATE VIEW token_costs AS
SELECT usage.time, usage.agent_name, usage.model, usage.input_tokens, usage.output_tokens, usage.cache_read,
       usage.cache_create, usage.cache_create_1h, usage.reasoning_tokens, usage.tool, usage.session_id,
       usage.message_id, usage.final, usage.host,
       coalesce(usage.cost_usd, computed.cost_usd) AS cost_usd,
       usage.cost_usd AS reported_cost_usd,
       computed.cost_usd AS computed_cost_usd,
       price.source AS price_source,
       usage.log_no, usage.position
FROM token_metrics usage
CROSS JOIN LATERAL (
    SELECT lower(usage.model COLLATE "C") AS written, tailwater_plain_model(usage.model) AS plain
) name
LEFT JOIN LATERAL (
    SELECT candidate.*
    FROM model_prices candidate
    WHERE candidate.host IN ('', usage.host)
      AND candidate.effective_from <= usage.time AND usage.time < candidate.effective_to
      AND tailwater_price_fits(candidate.matches, candidate.model, name.written, name.plain)
    ORDER BY candidate.matches = 'exact' DESC, length(candidate.model) DESC, candidate.matches = 'model' DESC,
             tailwater_price_origin(candidate.source) DESC,
             candidate.effective_from DESC, candidate.host DESC, candidate.source
    LIMIT 1
) price ON true
CROSS JOIN LATERAL (
    SELECT usage.input_tokens::numeric + usage.cache_read + usage.cache_create
           > price.long_context_above_tokens AS is_long,
           least(usage.cache_create_1h, usage.cache_create) AS hour
) size
CROSS JOIN LATERAL (
    SELECT CASE WHEN price.model IS NULL THEN NULL ELSE (
        tailwater_cost_part(usage.input_tokens, CASE WHEN is_long THEN price.long_input ELSE price.input END)
      + tailwater_cost_part(usage.output_tokens, CASE WHEN is_long THEN price.long_output ELSE price.output END)
      + tailwater_cost_part(usage.cache_read, CASE WHEN is_long THEN price.long_cache_read ELSE price.cache_read END)
      + tailwater_cost_part(usage.cache_create - hour,
                            CASE WHEN is_long THEN price.long_cache_write_5m ELSE price.cache_write_5m END)
      + tailwater_cost_part(hour, CASE WHEN is_long THEN price.long_cache_write_1h ELSE price.cache_write_1h END)
    ) / 1000000 END AS cost_usd
) computed;
COMMENT ON VIEW token_costs IS
    'token_metrics with what each call costs: as reported, as computed by model_prices, and cost_usd, the reported one '
    'where there is one; NULL where neither is known.';

CREATE TABLE agent_states (
    time       timestamptz NOT NULL,
    agent_name text COLLATE "C" NOT NULL,
    role       text        NOT NULL DEFAULT '',
    tool       text        NOT NULL DEFAULT '',
    runtime    text        NOT NULL DEFAULT '',
    state      text        NOT NULL DEFAULT '',
    started_at timestamptz,
    host       text COLLATE "C" NOT NULL,
    log_no     integer     NOT NULL,
    position   bigint      NOT NULL,
    PRIMARY KEY (agent_name, host, time)
);

CREATE TABLE gaps (
    time      timestamptz NOT NULL,
    from_time timestamptz NOT NULL,
    to_time   timestamptz NOT NULL,
    events    bigint      NOT NULL,
    what      text COLLATE "C" NOT NULL,
    reason    text        NOT NULL,
    host      text COLLATE "C" NOT NULL,
    log_no    integer     NOT NULL,
    position  bigint      NOT NULL,
    PRIMARY KEY (host, time, what)
);
COMMENT ON TABLE gaps IS 'Known losses: how many events, of what, from when to when, and why.';
