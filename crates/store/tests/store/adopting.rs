//! Coming from the Go package: its tables are kept, its rows are copied once, and what cannot be copied is told.

use event::HostName;
use store::testing::{GO_HYPERTABLES, GO_TABLES, table_checksum};
use store::{AdoptedTable, Extension, adopt, adoptable, migrate, preview_adoption};

use crate::support::World;

/// The Go package's tables.
const NAMES: [&str; 4] = ["agent_metrics", "channel_metrics", "system_metrics", "token_metrics"];

/// So many hours of every table, from 2025-01-01: two agents, a system, a channel, and calls of two models.
pub(crate) fn hours(hours: u32) -> String {
    let hour = format!(
        "generate_series(timestamptz '2025-01-01 00:00:00+00',
            timestamptz '2025-01-01 00:00:00+00' + interval '{} hours', '1 hour') AS time",
        hours - 1
    );
    format!(
        "INSERT INTO agent_metrics SELECT time, agent, 'worker', 'claude', 'tmux', 'working',
             extract(hour FROM time), 1000 + extract(hour FROM time), 5000, 20.5, 10, 20, 30, 40
         FROM {hour}, unnest(ARRAY['zen', 'a1']) AS agent;
         INSERT INTO system_metrics SELECT time, 'box', 50, 1, 2, 50, 3, 4, 5, 6 FROM {hour};
         INSERT INTO channel_metrics SELECT time, 'general', 3, 7, 1 FROM {hour};
         INSERT INTO token_metrics SELECT time, 'zen', model, 100, 10, 5, 1, 0.25
         FROM {hour}, unnest(ARRAY['opus', 'haiku']) AS model;"
    )
}

pub(crate) fn host() -> HostName {
    HostName::new("lap'top\\").unwrap()
}

/// A database with the Go package's tables, and these statements executed in it.
pub(crate) async fn world(sql: &[&str]) -> Option<World> {
    let world = World::new().await?;
    for sql in [GO_TABLES].iter().chain(sql) {
        world.execute(sql).await;
    }
    Some(world)
}

pub(crate) async fn adopted(world: &World, extension: Extension) -> Vec<AdoptedTable> {
    adopt(world.database.url(), &host(), extension, |_| ()).await.unwrap()
}

/// The content of these tables with a suffix.
async fn content(world: &World, suffix: &str) -> Vec<(i64, String)> {
    let mut all = Vec::new();
    for name in NAMES {
        all.push(table_checksum(&world.client, &format!("{name}{suffix}")).await);
    }
    all
}

/// The columns of the Go package as text, but for those of the tokens.
const GO_SAMPLE: &str = "concat_ws(' ', time, agent_name, role, tool, runtime, state, cpu_percent, mem_used_bytes, \
    mem_limit_bytes, mem_percent, net_rx_bytes, net_tx_bytes, disk_read_bytes, disk_write_bytes)";

#[tokio::test]
async fn plain_tables_and_hypertables_are_kept_and_their_rows_copied() {
    for make in ["SELECT", GO_HYPERTABLES] {
        let Some(world) = world(&[make, &hours(30)]).await else { return };
        world.execute("CREATE VIEW busy AS SELECT * FROM agent_metrics WHERE cpu_percent > 20").await;
        let before = content(&world, "").await;
        let found = adoptable(world.database.url()).await.unwrap();
        assert_eq!(found.tables.iter().map(|table| table.name).collect::<Vec<_>>(), NAMES);
        assert_eq!(found.tables.iter().map(|table| table.rows).collect::<Vec<_>>(), [60, 30, 30, 60]);
        let span = found.tables[0].span.map(|(first, last)| (first.to_string(), last.to_string()));
        let wanted = ("2025-01-01T00:00:00.000000Z".to_owned(), "2025-01-02T05:00:00.000000Z".to_owned());
        assert_eq!(span, Some(wanted));

        let tables = adopted(&world, Extension::Create).await;
        for (table, rows) in tables.iter().zip([60, 30, 30, 60]) {
            let AdoptedTable { name, .. } = table;
            let wanted = AdoptedTable { name: name.clone(), rows, copied: rows, ..AdoptedTable::default() };
            assert_eq!(*table, wanted);
        }
        assert_eq!(content(&world, "_bc").await, before, "nothing is dropped and nothing changed");
        let theirs = world.texts(&format!("SELECT {GO_SAMPLE} FROM agent_metrics_bc ORDER BY 1")).await;
        let ours = world.texts(&format!("SELECT {GO_SAMPLE} FROM agent_metrics ORDER BY 1")).await;
        assert_eq!(ours, theirs);
        let hypertables = "SELECT count(*)::text FROM timescaledb_information.hypertables
            WHERE hypertable_name NOT LIKE '%_bc'";
        assert_eq!(world.text(hypertables).await, "6");
        assert_eq!(world.text("SELECT count(*)::text FROM busy").await, "6", "a view keeps what it shows");
        check_provenance(&world).await;
    }
}

/// The rows are of one log, in the order of time, without holes, and of the host.
async fn check_provenance(world: &World) {
    let log = "SELECT concat_ws(' ', log_id, host) FROM tailwater_logs";
    assert_eq!(world.text(log).await, format!("{} {}", store::ADOPTED_LOG, host()));
    for name in NAMES {
        let sql = format!(
            "SELECT concat_ws(' ', count(*) FILTER (WHERE place <> position), count(DISTINCT position) = count(*),
                 bool_and(host = (SELECT host FROM tailwater_logs) AND log_no = (SELECT log_no FROM tailwater_logs)))
             FROM (SELECT *, rank() OVER (ORDER BY time) + position - min(position) OVER (PARTITION BY time) AS place
                   FROM {name}) AS ranked"
        );
        assert_eq!(world.text(&sql).await, "0 t t", "{name}");
    }
}

#[tokio::test]
async fn names_of_indexes_are_free_for_ours() {
    let Some(world) = world(&[
        "ALTER TABLE agent_metrics ADD COLUMN id bigserial PRIMARY KEY",
        "CREATE INDEX agent_metrics_time_idx ON agent_metrics (time); CREATE INDEX mine ON agent_metrics (time)",
        "ALTER TABLE token_metrics ADD UNIQUE (time, agent_name, model)",
        "CREATE EXTENSION timescaledb; ALTER TABLE system_metrics ADD PRIMARY KEY (time, system_name);
         SELECT create_hypertable('system_metrics', 'time')",
        &hours(2),
    ])
    .await
    else {
        return;
    };
    adopted(&world, Extension::Leave).await;
    let indexes = "SELECT indexname::text FROM pg_indexes WHERE tablename = 'agent_metrics_bc' ORDER BY 1";
    assert_eq!(world.texts(indexes).await, ["agent_metrics_bc_pkey", "agent_metrics_bc_time_idx", "mine"]);
    let ours = "SELECT indexname::text FROM pg_indexes
        WHERE tablename IN ('agent_metrics', 'system_metrics', 'token_metrics') ORDER BY 1";
    assert_eq!(world.texts(ours).await, ["agent_metrics_pkey", "system_metrics_pkey", "token_metrics_pkey"]);
    let key = "INSERT INTO system_metrics_bc SELECT * FROM system_metrics_bc ON CONFLICT (time, system_name) DO NOTHING";
    world.execute(key).await;
    assert_eq!(world.count("system_metrics_bc").await, 2);
    let constraint = "SELECT conname::text FROM pg_constraint WHERE conrelid = 'token_metrics_bc'::regclass AND contype = 'u'";
    assert!(world.text(constraint).await.starts_with("token_metrics_bc_"));
    let sequence = "SELECT pg_get_serial_sequence('agent_metrics_bc', 'id')";
    assert_eq!(world.text(sequence).await, "public.agent_metrics_bc_id_seq");
    world.execute("INSERT INTO agent_metrics_bc (time, agent_name) VALUES (now(), 'still a table')").await;
}

#[tokio::test]
async fn a_second_time_nothing_changes() {
    let Some(world) = world(&[&hours(5)]).await else { return };
    adopted(&world, Extension::Create).await;
    let state = "SELECT concat_ws(' ', adoption.*) FROM tailwater_adoptions AS adoption ORDER BY name";
    let before = (world.checksums().await, content(&world, "_bc").await, world.texts(state).await);
    assert_eq!(adoptable(world.database.url()).await.unwrap().tables, []);
    assert_eq!(adopted(&world, Extension::Create).await, []);
    assert_eq!(preview_adoption(world.database.url()).await.unwrap(), []);
    let after = (world.checksums().await, content(&world, "_bc").await, world.texts(state).await);
    assert_eq!(after, before);
    assert_eq!(migrate(world.database.url(), Extension::Create).await.unwrap().applied, []);
}

#[tokio::test]
async fn a_database_without_them_has_nothing_to_adopt() {
    let Some(world) = World::new().await else { return };
    assert_eq!(adoptable(world.database.url()).await.unwrap().tables, []);
    assert_eq!(adopted(&world, Extension::Leave).await, []);
    assert_eq!(world.text("SELECT count(*)::text FROM tailwater_logs").await, "0", "it is migrated");
    assert_eq!(adoptable(world.database.url()).await.unwrap().tables, []);
}

#[tokio::test]
async fn a_package_with_fewer_tables_is_adopted_as_well() {
    let drop = "DROP TABLE token_metrics, channel_metrics";
    let one = "INSERT INTO system_metrics (time, system_name) VALUES ('2025-01-01 00:00:00+00', 'box')";
    let Some(world) = world(&[drop, one]).await else { return };
    let tables = adopted(&world, Extension::Leave).await;
    assert_eq!(
        tables.iter().map(|it| (it.name.as_str(), it.copied)).collect::<Vec<_>>(),
        [("agent_metrics", 0), ("system_metrics", 1)]
    );
    assert_eq!(world.count("token_metrics").await, 0);
}

/// Rows that are odd, each in its own way; the reasons come back with their numbers.
#[tokio::test]
async fn what_cannot_be_copied_is_counted_with_its_reason_and_stays() {
    let t = "'2025-01-01 00:00:00+00'";
    let odd = format!(
        "INSERT INTO agent_metrics (time, agent_name, role, cpu_percent, net_rx_bytes) VALUES
             (NULL, 'a', '', 1, 1), ('infinity', 'a', '', 1, 1), ('-infinity', 'a', '', 1, 1),
             ('1999-12-31 23:59:59.999999+00', 'a', '', 1, 1), ('2000-01-01 00:00:00+00', 'first', '', 1, 1),
             ('2200-01-01 00:00:00+00', 'a', '', 1, 1), ('2199-12-31 23:59:59.999999+00', 'last', '', 1, 1),
             ({t}, NULL, '', 1, 1), ({t}, '', '', 1, 1), ({t}, repeat('ä', 128), '', 1, 1),
             ({t}, repeat('n', 255), '', 1, 1), ({t}, 'long', repeat('r', 4097), 1, 1),
             ({t}, 'as long as may be', repeat('r', 4096), 1, 1), ({t}, 'b', '', 'NaN', 1),
             ({t}, 'b', '', 'Infinity', 1), ({t}, 'b', '', -0.5, 1), ({t}, 'b', '', 1e30, 1), ({t}, 'b', '', 1.1e30, 1),
             ({t}, 'c', '', 1, -1), ({t}, 'c', '', 0, 9223372036854775807), ({t}, 'nothing', NULL, NULL, NULL);"
    );
    let Some(world) = world(&[&odd]).await else { return };
    let preview = preview_adoption(world.database.url()).await.unwrap();
    let tables = adopted(&world, Extension::Leave).await;
    let AdoptedTable { rows, copied, present, duplicates, refused, .. } = &tables[0];
    assert_eq!((*rows, *copied, *present, *duplicates), (21, 7, 0, 0));
    let refused: Vec<(&str, u64)> = refused.iter().map(|(reason, rows)| (reason.as_str(), *rows)).collect();
    assert_eq!(
        refused,
        [
            ("cpu_percent is not a number from 0 to 1e30", 4),
            ("time is not from 2000 to 2199", 4),
            ("agent_name has more than 255 bytes", 1),
            ("agent_name is empty", 1),
            ("agent_name is null", 1),
            ("net_rx_bytes is not a whole number from 0", 1),
            ("role has more than 4096 bytes", 1),
            ("time is null", 1),
        ]
    );
    assert_eq!((preview[0].rows, preview[0].copied), (21, 7));
    assert_eq!(preview[0].refused, tables[0].refused);
    assert_eq!(world.count("agent_metrics_bc").await, 21);
    let names = "SELECT left(agent_name, 7) FROM agent_metrics ORDER BY time, agent_name COLLATE \"C\"";
    assert_eq!(world.texts(names).await, ["first", "as long", "b", "c", "nnnnnnn", "nothing", "last"]);
    let nothing = "SELECT concat_ws(' ', role = '', cpu_percent IS NULL, net_rx_bytes IS NULL)
        FROM agent_metrics WHERE agent_name = 'nothing'";
    assert_eq!(world.text(nothing).await, "t t t", "null is not measured, and a missing text is empty");
}

#[tokio::test]
async fn of_the_rows_of_one_series_and_time_the_largest_is_copied() {
    let rows = "INSERT INTO agent_metrics (time, agent_name, role, cpu_percent, mem_used_bytes) VALUES
            ('2025-01-01 00:00:00+00', 'zen', NULL, 99, 1), ('2025-01-01 00:00:00+00', 'zen', 'worker', 1, NULL),
            ('2025-01-01 00:00:00+00', 'zen', 'worker', 1, 5), ('2025-01-01 00:00:00+00', 'zen', 'worker', 1, 5),
            ('2025-01-01 00:00:00+00', 'zen', 'worker', -1, 9), ('2025-01-01 00:00:01+00', 'zen', 'worker', 1, 5);
        INSERT INTO channel_metrics VALUES ('2025-01-01 00:00:00+00', 'general', NULL, NULL, 3),
            ('2025-01-01 00:00:00+00', 'random', 0, 2, NULL)";
    let Some(world) = world(&[rows]).await else { return };
    let tables = adopted(&world, Extension::Leave).await;
    let counts: Vec<_> = tables.iter().map(|it| (it.rows, it.copied, it.duplicates, it.filled)).collect();
    assert_eq!(counts, [(6, 2, 3, 0), (2, 2, 0, 2), (0, 0, 0, 0), (0, 0, 0, 0)]);
    assert_eq!(tables[0].refused, [("cpu_percent is not a number from 0 to 1e30".to_owned(), 1)]);
    let kept = "SELECT concat_ws(' ', role, cpu_percent, mem_used_bytes) FROM agent_metrics ORDER BY time";
    assert_eq!(world.texts(kept).await, ["worker 1 5", "worker 1 5"]);
    let channels = "SELECT concat_ws(' ', channel_name, message_count, member_count IS NULL, reaction_count)
        FROM channel_metrics ORDER BY channel_name";
    assert_eq!(world.texts(channels).await, ["general 0 t 3", "random 0 f 0"]);
}

#[tokio::test]
async fn every_call_counts_so_that_totals_stay() {
    let calls = "INSERT INTO token_metrics VALUES
            ('2025-01-01 00:00:00+00', 'zen', 'opus', 10, 20, 30, 40, 0.5),
            ('2025-01-01 00:00:00+00', 'zen', 'opus', 10, 20, 30, 40, 0.5),
            ('2025-01-01 00:00:00+00', 'zen', 'opus', 11, 20, 30, 40, 0.25),
            ('2025-01-01 00:00:00+00', 'zen', 'haiku', NULL, 7, NULL, NULL, NULL),
            ('2025-01-01 00:00:01+00', 'zen', 'opus', 1, 2, 3, 4, 0.125)";
    let Some(world) = world(&[calls, &hours(3)]).await else { return };
    let totals = |table: &str| {
        format!(
            "SELECT concat_ws(' ', count(*), sum(input_tokens), sum(output_tokens), sum(cache_read),
             sum(cache_create), sum(cost_usd), count(cost_usd)) FROM {table}"
        )
    };
    let before = world.text(&totals("token_metrics")).await;
    let tables = adopted(&world, Extension::Leave).await;
    assert_eq!((tables[3].rows, tables[3].copied, tables[3].filled), (11, 11, 1));
    assert_eq!(world.text(&totals("token_metrics")).await, before);
    let ids = "SELECT concat_ws(' ', model, message_id, input_tokens, final) FROM token_metrics
        WHERE time = '2025-01-01 00:00:00+00' ORDER BY model, message_id";
    assert_eq!(
        world.texts(ids).await,
        [
            "haiku  100 f",
            "haiku bc:2 0 f",
            "opus  100 f",
            "opus bc:2 11 f",
            "opus bc:3 10 f",
            "opus bc:4 10 f"
        ]
    );
}

#[tokio::test]
async fn other_types_an_other_order_and_more_columns_are_read() {
    let Some(world) = World::new().await else { return };
    world
        .execute(
            "CREATE TYPE mood AS ENUM ('working', 'idle'); CREATE DOMAIN bytes AS numeric(20) CHECK (value < 1e19);
             CREATE TABLE agent_metrics (id bigserial, disk_write_bytes real, disk_read_bytes numeric,
                 net_tx_bytes int, net_rx_bytes bytes, mem_percent real, mem_limit_bytes bytes,
                 mem_used_bytes double precision, cpu_percent numeric(6, 2), state mood, runtime char(6), tool varchar(9),
                 role varchar, agent_name varchar(20) NOT NULL, \"Extra\" json, time timestamp NOT NULL,
                 cpu_double numeric GENERATED ALWAYS AS (cpu_percent * 2) STORED);
             INSERT INTO agent_metrics (time, agent_name, state, cpu_percent, mem_used_bytes, net_rx_bytes,
                 net_tx_bytes, disk_read_bytes, disk_write_bytes, runtime)
             VALUES ('2025-01-01 12:00:00', 'zen', 'working', 12.25, 1000, 9223372036854775806, 5, 7, 8, 'tmux'),
                 ('2025-01-01 12:00:01', 'half', 'idle', 1, 0.5, 1, 1, 1, 1, ''),
                 ('2025-01-01 12:00:01', 'huge', 'idle', 1, 1, 9999999999999999999, 1, 1, 1, ''),
                 ('2025-01-01 12:00:01', 'none', 'idle', 'NaN', 1, 1, 1, 1, 1, ''),
                 ('2025-01-01 12:00:01', 'float', 'idle', 1, 9223372036854775807, 1, 1, 1, 1, '')",
        )
        .await;
    let tables = adopted(&world, Extension::Leave).await;
    assert_eq!((tables[0].rows, tables[0].copied), (5, 1));
    let told: Vec<&str> = tables[0].refused.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(
        told,
        [
            "mem_used_bytes is not a whole number from 0",
            "cpu_percent is not a number from 0 to 1e30",
            "net_rx_bytes is not a whole number from 0"
        ]
    );
    let row = format!("SELECT {GO_SAMPLE} FROM agent_metrics");
    assert_eq!(
        world.text(&row).await,
        "2025-01-01 12:00:00+00 zen   tmux working 12.25 1000 9223372036854775806 5 7 8"
    );
}
