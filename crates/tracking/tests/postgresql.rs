//! The PostgreSQL database itself: whose it is, several servers on it at once, and connections and servers that go away.

mod postgres;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anmok_protocol::{Batch, Dataset, DatasetInput, ErrorCode, Metric, Param, RunInputs, RunTag};
use anmok_tracking::{NewExperiment, NewRegisteredModel, NewRun, PageRequest, RunStore, StoreOptions, TrackingError, open, open_store};

fn try_open(uri: &str) -> Result<Arc<dyn RunStore>, TrackingError> {
    let options = StoreOptions { artifact_root: Some("mlflow-artifacts:/".into()), connections: 8, ..StoreOptions::default() };
    Ok(Arc::from(open(uri, &options)?))
}

fn history(store: &dyn RunStore, run_id: &str, key: &str) -> Vec<Metric> {
    store.metric_history(run_id, key, &PageRequest::default()).unwrap().items
}

#[test]
fn other_programs_databases_are_refused_and_left_alone() {
    let Some(server) = postgres::shared("postgresql::other_programs_databases_are_refused_and_left_alone") else { return };
    for (sql, words) in [
        ("CREATE TABLE alembic_version (version_num TEXT); CREATE TABLE experiments (x INT)", ["MLflow's own server", "anmok db import"]),
        ("CREATE SCHEMA anmok; CREATE TABLE anmok.customers (x INT)", ["another program's database", "anmok.customers"]),
        (
            "CREATE SCHEMA anmok; CREATE TABLE anmok.schema_version (version BIGINT); INSERT INTO anmok.schema_version VALUES (999)",
            ["newer anmok", "999"],
        ),
    ] {
        let uri = server.database();
        server.sql(&uri, sql);
        let tables = "SELECT string_agg(schemaname || tablename, ',' ORDER BY 1) FROM pg_tables WHERE schemaname !~ '^(pg_|information)'";
        let before = server.sql(&uri, tables);
        let error = try_open(&uri).err().expect("it is refused").to_string();
        for words in words {
            assert!(error.contains(words), "{error:?} lacks {words:?}");
        }
        assert!(!error.contains(postgres::PASSWORD), "{error}");
        assert_eq!(server.sql(&uri, tables), before, "the database was changed");
    }
    // Tables of other programs beside ours are nobody's harm.
    let uri = server.database();
    server.sql(&uri, "CREATE TABLE customers (x INT)");
    assert!(try_open(&uri).unwrap().experiment("0").unwrap().is_some());
}

#[test]
fn places_that_cannot_be_reached_are_named_without_the_password() {
    let Some(server) = postgres::shared("postgresql::places_that_cannot_be_reached_are_named_without_the_password") else { return };
    let refused = |uri: &str| {
        let error = try_open(uri).err().expect("it is refused");
        assert!(!error.to_string().contains(postgres::PASSWORD) && !error.to_string().contains("wrong-word"), "{error}");
        error
    };
    let error = refused(&server.uri("none"));
    assert!(error.to_string().contains("make the database with `createdb`"), "{error}");
    let error = refused(&server.uri("postgres").replace(postgres::PASSWORD, "wrong-word"));
    assert!(error.to_string().contains("check the user and password"), "{error}");
    let error = refused(&format!("postgresql://u:{}@127.0.0.1:1/db", postgres::PASSWORD));
    assert_eq!(error.code(), ErrorCode::TemporarilyUnavailable, "{error}");
    // This server has no TLS: it is not talked to in the clear if that was not allowed.
    let error = refused(&format!("{}?sslmode=require", server.uri("postgres")));
    assert!(error.to_string().contains("server does not support TLS"), "{error}");
    // A user who may not make a schema.
    let uri = server.database();
    server.sql(&uri, "CREATE ROLE reader LOGIN PASSWORD 'wrong-word'");
    let error = refused(&uri.replace(&format!("{}:{}", postgres::USER, postgres::PASSWORD), "reader:wrong-word"));
    assert!(error.to_string().contains("grant the user CREATE on the database"), "{error}");
}

/// What MLflow's users write into a URI, as libpq has it: `require` believes anybody, `verify-full` only whom it can check.
#[test]
fn tls_is_spoken_and_its_certificates_are_checked() {
    let certificates = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/certificates");
    let read = |name: &str| std::fs::read(format!("{certificates}/{name}")).unwrap();
    let test = "postgresql::tls_is_spoken_and_its_certificates_are_checked";
    let Some(server) = postgres::start_with_tls(test, &read("server.pem"), &read("server.key")) else { return };
    let uri = server.database();
    let checked = format!("sslmode=verify-full&sslrootcert={certificates}/authority.pem");
    for query in ["sslmode=require", &checked, "sslmode=disable"] {
        let store = try_open(&format!("{uri}?{query}")).unwrap_or_else(|error| panic!("{query}: {error}"));
        let experiment = NewExperiment { name: query.into(), ..NewExperiment::default() };
        store.create_experiment(&experiment).unwrap();
        // The server's own word for who is talking how, while the store's connections are open.
        let ciphered = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = current_database() AND \
                        pid <> pg_backend_pid()";
        assert_eq!(server.sql(&uri, ciphered), if query == "sslmode=disable" { "f" } else { "t" }, "{query}");
    }
    // No public authority has signed it, and the other one is not its authority's.
    for query in ["sslmode=verify-full".to_owned(), format!("sslmode=verify-full&sslrootcert={certificates}/elsewhere.pem")] {
        let error = try_open(&format!("{uri}?{query}")).err().expect("it is refused").to_string();
        assert!(error.contains("certificate") && !error.contains(postgres::PASSWORD), "{error}");
    }
    for (name, words) in [("expired", "expired"), ("elsewhere", "not valid for name")] {
        let Some(server) = postgres::start_with_tls(test, &read(&format!("{name}.pem")), &read(&format!("{name}.key"))) else { return };
        let error = try_open(&format!("{}?{checked}", server.uri("postgres"))).err().expect("it is refused").to_string();
        assert!(error.contains(words), "{name}: {error}");
    }
}

#[test]
fn a_new_database_can_be_opened_by_many_at_once() {
    let Some(server) = postgres::shared("postgresql::a_new_database_can_be_opened_by_many_at_once") else { return };
    let uri = server.database();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let uri = &uri;
            scope.spawn(move || {
                let store = try_open(uri).unwrap();
                store.create_experiment(&NewExperiment { name: format!("e{number}"), ..NewExperiment::default() }).unwrap();
            });
        }
    });
    assert_eq!(try_open(&uri).unwrap().search_experiments(&Default::default()).unwrap().items.len(), 9);
}

/// Two servers, four threads each, all with the same new keys in different orders: nothing is lost, doubled or mixed up.
#[test]
fn several_servers_write_at_once() {
    let Some(server) = postgres::shared("postgresql::several_servers_write_at_once") else { return };
    let uri = server.database();
    let stores = [try_open(&uri).unwrap(), try_open(&uri).unwrap()];
    let shared_run = stores[0].create_run(&NewRun::default()).unwrap().info.run_id;
    let own_runs: Vec<String> = (0..8).map(|number| stores[number % 2].create_run(&NewRun::default()).unwrap().info.run_id).collect();
    const BATCHES: i64 = 25;
    const KEYS: i64 = 20;
    std::thread::scope(|scope| {
        for (thread, own_run) in (0..8_i64).zip(&own_runs) {
            let (store, shared_run) = (&stores[(thread % 2) as usize], &shared_run);
            scope.spawn(move || {
                for number in 0..BATCHES {
                    // New keys with each batch, the same for all; half of the threads name them backwards.
                    let mut keys: Vec<i64> = (0..KEYS).collect();
                    if thread % 4 < 2 {
                        keys.reverse();
                    }
                    let name = |kind: &str, key: &i64| format!("{kind}{number}/{key}");
                    let batch = Batch {
                        metrics: keys.iter().map(|key| Metric::new(name("m", key), thread as f64, thread, *key)).collect(),
                        params: vec![],
                        tags: keys.iter().map(|key| RunTag::new(name("t", key), format!("{thread}"))).collect(),
                    };
                    store.log_batch(shared_run, &batch).unwrap();
                    let params = keys.iter().map(|key| Param::new(name("p", key), name("value ", key))).collect();
                    store.log_batch(own_run, &Batch { params, ..batch }).unwrap();
                }
            });
        }
    });
    for store in &stores {
        let data = store.run(&shared_run).unwrap().unwrap().data;
        assert_eq!(data.metrics.len() as i64, BATCHES * KEYS);
        assert!(data.metrics.iter().all(|metric| metric.value == 7.0), "the latest by timestamp, whoever came last");
        for own_run in &own_runs {
            let data = store.run(own_run).unwrap().unwrap().data;
            assert_eq!((data.metrics.len() as i64, data.params.len() as i64), (BATCHES * KEYS, BATCHES * KEYS));
            assert!(data.params.iter().all(|param| param.value == format!("value {}", &param.key[1..])), "{:?}", data.params);
        }
        for number in 0..BATCHES {
            let points = history(&**store, &shared_run, &format!("m{number}/3"));
            assert_eq!(points.iter().map(|point| point.value as i64).collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
        }
    }
    let keys = server.sql(&uri, "SELECT count(*), count(DISTINCT name) FROM anmok.keys");
    assert_eq!(keys, format!("{0}|{0}", BATCHES * KEYS * 3 + 1), "each name once, and mlflow.runName");
}

/// Who sets a param first wins, also between servers; the others are refused wholly.
#[test]
fn a_param_is_set_once_between_servers() {
    let Some(server) = postgres::shared("postgresql::a_param_is_set_once_between_servers") else { return };
    let uri = server.database();
    let stores = [try_open(&uri).unwrap(), try_open(&uri).unwrap()];
    for round in 0..20 {
        let run_id = stores[0].create_run(&NewRun::default()).unwrap().info.run_id;
        let winners: Vec<i64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6_i64)
                .map(|thread| {
                    let (store, run_id) = (&stores[(thread % 2) as usize], &run_id);
                    scope.spawn(move || {
                        let batch = Batch {
                            metrics: vec![Metric::new(format!("by {thread}"), 1.0, 1, 1)],
                            params: vec![Param::new(format!("owner {round}"), thread.to_string())],
                            tags: vec![],
                        };
                        match store.log_batch(run_id, &batch) {
                            Ok(()) => Some(thread),
                            Err(TrackingError::Refused(error)) => {
                                assert!(error.message.starts_with("Changing param values is not allowed"), "{error}");
                                None
                            }
                            Err(error) => panic!("{error:?}"),
                        }
                    })
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        let data = stores[1].run(&run_id).unwrap().unwrap().data;
        let [winner] = winners[..] else { panic!("{winners:?}") };
        assert_eq!(data.param(&format!("owner {round}")), Some(winner.to_string().as_str()));
        assert_eq!(data.metrics.iter().map(|metric| metric.key.clone()).collect::<Vec<_>>(), [format!("by {winner}")]);
    }
}

/// A refused batch takes no key number with it that another transaction could not see.
#[test]
fn keys_of_refused_work_are_right_afterwards() {
    let Some(server) = postgres::shared("postgresql::keys_of_refused_work_are_right_afterwards") else { return };
    let uri = server.database();
    let stores = [try_open(&uri).unwrap(), try_open(&uri).unwrap()];
    let run_id = stores[0].create_run(&NewRun::default()).unwrap().info.run_id;
    stores[0].log_batch(&run_id, &Batch { params: vec![Param::new("lr", "1")], ..Batch::default() }).unwrap();
    let refused = Batch { params: vec![Param::new("a", "1"), Param::new("lr", "2"), Param::new("b", "1")], ..Batch::default() };
    stores[0].log_batch(&run_id, &refused).unwrap_err();
    stores[1].log_batch(&run_id, &Batch { params: vec![Param::new("b", "b"), Param::new("c", "c")], ..Batch::default() }).unwrap();
    stores[0].log_batch(&run_id, &Batch { params: vec![Param::new("c", "c"), Param::new("a", "a")], ..Batch::default() }).unwrap();
    for store in &stores {
        let params = store.run(&run_id).unwrap().unwrap().data.params;
        assert_eq!(params, [("a", "a"), ("b", "b"), ("c", "c"), ("lr", "1")].map(|(key, value)| Param::new(key, value)));
    }
}

#[test]
fn what_cannot_be_stored_is_the_callers_mistake() {
    let Some(server) = postgres::shared("postgresql::what_cannot_be_stored_is_the_callers_mistake") else { return };
    let store = open_store(&server.database(), &StoreOptions::default()).unwrap();
    let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
    let error = store.set_tag(&run_id, &RunTag::new("nul", "a\0b")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidParameterValue, "{error}");
    let dataset =
        Dataset { name: "d".into(), digest: "1".into(), source_type: "local".into(), source: "x\0".into(), schema: None, profile: None };
    let inputs = RunInputs::datasets(vec![DatasetInput { tags: vec![], dataset }]);
    assert_eq!(store.log_inputs(&run_id, &inputs).unwrap_err().code(), ErrorCode::InvalidParameterValue);
    let long: String = (0..6000_u32).filter_map(|at| char::from_u32(0x4e00 + at * 7919 % 20_000)).collect();
    let name = NewRegisteredModel { name: long, ..NewRegisteredModel::default() };
    assert_eq!(store.create_registered_model(&name).unwrap_err().code(), ErrorCode::InvalidParameterValue);
    // The largest names and values there can be.
    let batch = Batch { params: vec![Param::new("각".repeat(250), "각".repeat(6000))], ..Batch::default() };
    store.log_batch(&run_id, &batch).unwrap();
    store.create_experiment(&NewExperiment { name: "각".repeat(500), ..NewExperiment::default() }).unwrap();
    assert_eq!(store.run(&run_id).unwrap().unwrap().data.params, batch.params);
}

/// Many points are first taken to be new; those that are not are found out when they are inserted.
#[test]
fn points_that_are_there_already_stay_one() {
    let Some(server) = postgres::shared("postgresql::points_that_are_there_already_stay_one") else { return };
    let store = try_open(&server.database()).unwrap();
    let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
    let points = |steps: std::ops::Range<i64>| steps.map(|step| Metric::new("m", step as f64, 1, step)).collect::<Vec<_>>();
    let log = |metrics: Vec<Metric>, tag: &str| {
        store.log_batch(&run_id, &Batch { metrics, tags: vec![RunTag::new("last", tag)], ..Batch::default() })
    };
    log(points(0..20), "a").unwrap();
    log(points(10..30), "b").unwrap();
    log([points(25..40), points(25..45)].concat(), "c").unwrap();
    assert_eq!(history(&*store, &run_id, "m"), points(0..45));
    // What is refused as late as with the commit leaves nothing.
    assert_eq!(log(points(40..60), "nul\0").unwrap_err().code(), ErrorCode::InvalidParameterValue);
    assert_eq!(history(&*store, &run_id, "m"), points(0..45));
    let data = store.run(&run_id).unwrap().unwrap().data;
    assert_eq!((data.metric("m"), data.tag("last")), (Some(44.0), Some("c")));
}

/// Steps logged by some threads until they are told to stop: which were acknowledged, and which failed.
struct Load {
    acknowledged: Vec<i64>,
    errors: Vec<TrackingError>,
}

fn load(store: &Arc<dyn RunStore>, run_id: &str, threads: i64, meanwhile: impl FnOnce(&AtomicUsize)) -> Load {
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let (stop, done) = (&stop, &done);
                scope.spawn(move || {
                    let (mut acknowledged, mut errors) = (vec![], vec![]);
                    for number in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let step = number * threads + thread;
                        let metrics = vec![Metric::new("a", step as f64, step, step), Metric::new("b", step as f64, step, step)];
                        match store.log_batch(run_id, &Batch { metrics, ..Batch::default() }) {
                            Ok(()) => {
                                acknowledged.push(step);
                                done.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => {
                                errors.push(error);
                                std::thread::sleep(Duration::from_millis(20));
                            }
                        }
                    }
                    (acknowledged, errors)
                })
            })
            .collect();
        meanwhile(&done);
        stop.store(true, Ordering::Relaxed);
        let mut load = Load { acknowledged: vec![], errors: vec![] };
        for thread in threads {
            let (acknowledged, errors) = thread.join().unwrap();
            load.acknowledged.extend(acknowledged);
            load.errors.extend(errors);
        }
        load
    })
}

/// Waits until some more calls were acknowledged.
fn wait_for(done: &AtomicUsize, more: usize) {
    let enough = done.load(Ordering::Relaxed) + more;
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while done.load(Ordering::Relaxed) < enough {
        assert!(std::time::Instant::now() < deadline, "nothing is acknowledged any more");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn assert_complete(store: &dyn RunStore, run_id: &str, load: &Load) {
    for error in &load.errors {
        assert_eq!(error.code(), ErrorCode::TemporarilyUnavailable, "{error}");
        assert!(!error.to_string().contains(postgres::PASSWORD), "{error}");
    }
    let steps = |key: &str| history(store, run_id, key).iter().map(|point| point.step).collect::<BTreeSet<i64>>();
    let (a, b) = (steps("a"), steps("b"));
    assert_eq!(a, b, "a batch is stored wholly or not at all");
    let lost: Vec<_> = load.acknowledged.iter().filter(|step| !a.contains(step)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    // Of what was not acknowledged, at most one call for each error can be there.
    assert!(a.len() <= load.acknowledged.len() + load.errors.len());
}

#[test]
fn connections_that_are_cut_lose_nothing_acknowledged() {
    let Some(server) = postgres::shared("postgresql::connections_that_are_cut_lose_nothing_acknowledged") else { return };
    let uri = server.database();
    let store = try_open(&uri).unwrap();
    let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
    let cut =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'anmok'";
    let load = load(&store, &run_id, 4, |done| {
        for _ in 0..8 {
            wait_for(done, 30);
            server.sql(&uri, cut);
        }
        wait_for(done, 30);
    });
    assert_complete(&*store, &run_id, &load);
    // Nobody was at work when these died: the next call does not even notice.
    server.sql(&uri, cut);
    store.set_tag(&run_id, &RunTag::new("after", "x")).unwrap();
    server.sql(&uri, cut);
    assert_eq!(store.run(&run_id).unwrap().unwrap().data.tag("after"), Some("x"));
}

#[test]
fn a_server_that_restarts_under_load_is_found_again() {
    let Some(server) = postgres::start("postgresql::a_server_that_restarts_under_load_is_found_again") else { return };
    let store = try_open(&server.database()).unwrap();
    // As an operator does, and as a crash does.
    for signal in ["INT", "QUIT"] {
        let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
        let load = load(&store, &run_id, 4, |done| {
            wait_for(done, 100);
            server.stop(signal);
            // While it is away, calls end soon and say what they are.
            let error = store.run(&run_id).unwrap_err();
            assert_eq!(error.code(), ErrorCode::TemporarilyUnavailable, "{error}");
            assert!(error.to_string().contains("cannot answer at the moment"), "{error}");
            server.run();
            wait_for(done, 100);
        });
        assert!(!load.errors.is_empty(), "the server was away");
        assert_complete(&*store, &run_id, &load);
    }
}
