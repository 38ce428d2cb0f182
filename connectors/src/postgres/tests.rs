//! What cannot be reached from outside: migrations of layouts that do not exist yet, and errors by their SQLSTATE. On a real
//! server.

use super::connect::Target;
use super::error::PostgresError;
use super::schema::{Step, prepare};
use groundswell_testing::postgres::Postgres;
use std::sync::OnceLock;
use std::time::Duration;

fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start().expect("a server"))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn target(url: &str) -> Target {
    Target::new(url, "my-schema", "pg", Duration::from_secs(5)).expect("a url")
}

/// Brings the schema to a version in a transaction of its own.
async fn prepared(target: &Target, version: i32, steps: &[Step]) -> Result<(), PostgresError> {
    let mut client = target.connect().await?;
    let tx = client.transaction().await.expect("a transaction");
    prepare(&tx, &target.place, version, steps).await?;
    tx.commit().await.expect("committed");
    Ok(())
}

#[test]
fn an_older_schema_is_migrated_step_by_step_and_a_newer_one_refused() {
    let url = server().database().expect("a database");
    let target = target(&url);
    let psql = |sql: &str| server().psql(&url, sql).expect("answered");
    let steps = [
        Step {
            from: 2,
            sql: "alter table {}._progress add column note text; update {}._progress set note = 'from two'",
        },
        Step {
            from: 3,
            sql: "alter table {}._progress rename column note to remark",
        },
    ];
    run(async {
        prepared(&target, 2, &[]).await.expect("created");
        psql("insert into \"my-schema\"._progress values ('pg', 5, 1)");
        // A step that fails leaves everything as it was.
        let broken = [Step {
            from: 2,
            sql: "alter table {}._progress add column note text; select 1 / 0",
        }];
        let error = prepared(&target, 3, &broken).await.expect_err("it fails");
        assert!(matches!(error, PostgresError::Statement { .. }), "{error}");
        assert_eq!(psql("select version from \"my-schema\"._schema"), "2");
        prepared(&target, 4, &steps).await.expect("migrated");
        assert_eq!(
            psql("select sink, upper, remark from \"my-schema\"._progress"),
            "pg\t5\tfrom two"
        );
        assert_eq!(psql("select version from \"my-schema\"._schema"), "4");
        prepared(&target, 4, &steps).await.expect("nothing to do");
        let error = prepared(&target, 3, &steps).await.expect_err("newer");
        assert!(
            matches!(error, PostgresError::Newer { found: 4, known: 3, .. }),
            "{error}"
        );
        psql("update \"my-schema\"._schema set version = 1");
        let error = prepared(&target, 4, &steps).await.expect_err("too old");
        assert!(
            matches!(
                error,
                PostgresError::TooOld {
                    found: 1,
                    oldest: 2,
                    ..
                }
            ),
            "{error}"
        );
    });
}

#[test]
fn errors_are_told_apart_by_what_is_to_be_done() {
    let url = server().database().expect("a database");
    let target = target(&url);
    run(async {
        let client = target.connect().await.expect("connected");
        for (state, retriable, words) in [
            ("53100", true, "out of resources"),
            ("53200", true, "out of resources"),
            ("58030", true, "out of resources"),
            ("25006", true, "is read-only"),
            ("42501", false, "denies it"),
            ("57P01", true, "was lost"),
            ("25P03", true, "was lost"),
            ("55P03", true, "holds a lock"),
            ("40P01", true, "undid the transaction"),
            ("40001", true, "undid the transaction"),
            ("42P01", false, "refuses a statement"),
            ("23505", false, "refuses a statement"),
        ] {
            let sql = format!("do $$ begin raise exception 'as if' using errcode = '{state}'; end $$");
            let error = client.batch_execute(&sql).await.expect_err("it is raised");
            let error = target.place.statement(&error);
            assert_eq!(error.is_retriable(), retriable, "{state}: {error}");
            let text = error.to_string();
            assert!(
                text.contains(words) && text.contains(state) && text.contains("as if"),
                "{state}: {text}"
            );
        }
    });
}
