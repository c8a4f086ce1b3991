//! What a running worker tells Prometheus and a service manager.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | the worker's record, money and duties on the chain, and what the process has measured, in Prometheus' text format |
//! | `/health` | 200 as long as the process answers |
//! | `/ready` | 200 if a device computes, the chain was read within the last minute and the worker takes jobs, else 503 and why |
//!
//! What the chain knows comes from finalised state, read every few seconds: so
//! it counts on after a restart, and cannot disagree with the chain. The rest is
//! measured here ([`Meters`]). `docs/metrics.md` has a table of all.

mod meters;
mod process;

pub use meters::{Call, Counted, Meters, Trouble};

use crate::{
    chain::{Chain, ChainView},
    error::{Error, Kind, Result},
    market::{Market, MarketResult, View},
};
use genesisflow_primitives::views::WorkerView;
use std::{
    fmt::Write,
    io::ErrorKind,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::net::{TcpListener, TcpStream};

/// Between two looks at the chain.
const EVERY: Duration = Duration::from_secs(6);
/// A look older than this makes the worker not ready.
const FRESH: Duration = Duration::from_secs(60);
/// Longest request that is read; what is asked for stands in its first line.
const LONGEST_REQUEST: usize = 4_096;
/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was seen at one finalised block.
#[derive(Clone, Debug)]
struct Seen {
    at: Instant,
    block: u32,
    free: u128,
    worker: Option<WorkerView>,
    claims: usize,
    seats: usize,
    /// Seats in which something is to be done.
    seats_due: usize,
}

/// What was seen last, and how often the chain did not answer.
#[derive(Debug, Default)]
struct State {
    seen: Option<Seen>,
    failures: u64,
    meters: Meters,
}

/// Opens the endpoint and serves it for as long as the program runs: what the
/// chain says, and `meters`.
///
/// # Errors
/// [`Kind::Usage`] if the address cannot be listened on.
pub async fn serve(address: SocketAddr, chain: Chain, meters: Meters) -> Result<()> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Error::new(
            Kind::Usage,
            format!("cannot listen on {address} for metrics"),
        )
        .because(error)
        .fix("pass --metrics an address of this machine with a free port, such as 127.0.0.1:9616")
    })?;
    tracing::info!("metrics are at http://{address}/metrics");
    let state = Arc::new(Mutex::new(State {
        meters,
        ..State::default()
    }));
    tokio::spawn(watch(chain, state.clone()));
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let state = state.clone();
                    tokio::spawn(async move {
                        // Whoever asked may be gone.
                        let _ = tokio::time::timeout(PATIENCE, answer(stream, &state)).await;
                    });
                }
                Err(error) => {
                    tracing::debug!("cannot take a request for metrics: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    });
    Ok(())
}

/// Looks at the chain, again and again.
async fn watch(chain: Chain, state: Arc<Mutex<State>>) {
    loop {
        let looked = look(&chain).await;
        {
            let mut state = lock(&state);
            match looked {
                Ok(seen) => state.seen = Some(seen),
                Err(_) => state.failures += 1,
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn look(chain: &Chain) -> MarketResult<Seen> {
    use genesisflow_primitives::views::SeatStatus;
    let view: ChainView = chain.finalized().await?;
    let seats = view.seats().await?;
    let is_due = |status| matches!(status, SeatStatus::ToCommit | SeatStatus::ToReveal);
    Ok(Seen {
        block: view.head().number,
        free: view.free_balance().await?,
        worker: view.worker().await?,
        claims: view.claims().await?.len(),
        seats_due: seats.iter().filter(|seat| is_due(seat.status)).count(),
        seats: seats.len(),
        // Last: what it says must not look younger than it is.
        at: Instant::now(),
    })
}

/// Reads one request and answers it.
async fn answer(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut part = [0; 512];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LONGEST_REQUEST {
        stream.readable().await?;
        match stream.try_read(&mut part) {
            Ok(0) => break,
            Ok(read) => request.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    let (status, body) = respond(&request, &lock(state), Instant::now());
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut left = answer.as_bytes();
    while !left.is_empty() {
        stream.writable().await?;
        match stream.try_write(left) {
            Ok(written) => left = &left[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Status line and body for a request.
fn respond(request: &[u8], state: &State, now: Instant) -> (&'static str, String) {
    let line = request.split(|byte| *byte == b'\r').next();
    let line = String::from_utf8_lossy(line.unwrap_or_default());
    let mut words = line.split(' ');
    let (method, path) = (words.next(), words.next().unwrap_or_default());
    if method != Some("GET") {
        return ("405 Method Not Allowed", "only GET\n".into());
    }
    match path.split('?').next().unwrap_or_default() {
        "/metrics" => ("200 OK", metrics(state, now)),
        "/health" => ("200 OK", "alive\n".into()),
        "/ready" => match not_ready(state, now) {
            None => ("200 OK", "ready\n".into()),
            Some(why) => ("503 Service Unavailable", format!("{why}\n")),
        },
        _ => (
            "404 Not Found",
            "there are /metrics, /health and /ready\n".into(),
        ),
    }
}

/// Why the worker is not ready, if it is not.
fn not_ready(state: &State, now: Instant) -> Option<String> {
    if let Some(why) = state.meters.no_device_left() {
        return Some(format!("no device is left that computes: {why}"));
    }
    let Some(seen) = &state.seen else {
        return Some("the chain was not read yet".into());
    };
    let age = now.saturating_duration_since(seen.at);
    if age > FRESH {
        return Some(format!("the chain was last read {} s ago", age.as_secs()));
    }
    match &seen.worker {
        None => Some("this account is no worker: it has no stake".into()),
        Some(worker) if worker.chilled => Some("this worker is chilled".into()),
        Some(_) => None,
    }
}

/// The text that Prometheus reads.
fn metrics(state: &State, now: Instant) -> String {
    let mut text = Text(state.meters.text());
    for (name, kind, help, value) in process::metrics() {
        text.put_as(name, kind, help, value);
    }
    text.put(
        "chain_read_failures_total",
        "counter",
        "How often the chain did not answer the metrics.",
        state.failures as f64,
    );
    let Some(seen) = &state.seen else {
        return text.0;
    };
    let age = now.saturating_duration_since(seen.at).as_secs_f64();
    text.put(
        "chain_read_age_seconds",
        "gauge",
        "Time since the chain was read last.",
        age,
    );
    text.put(
        "finalized_block",
        "gauge",
        "The finalised block that was read last.",
        seen.block.into(),
    );
    text.put(
        "balance_gen",
        "gauge",
        "Free balance of the account, in GEN.",
        gen(seen.free),
    );
    text.put(
        "jobs_in_hand",
        "gauge",
        "Jobs that are claimed and not delivered.",
        seen.claims as f64,
    );
    text.put(
        "audit_seats_open",
        "gauge",
        "Audits in which this worker has a seat.",
        seen.seats as f64,
    );
    text.put(
        "audit_seats_due",
        "gauge",
        "Audits in which it has to commit or to reveal now.",
        seen.seats_due as f64,
    );
    if let Some(worker) = &seen.worker {
        record(&mut text, worker);
    }
    text.0
}

/// The worker's own record on the chain.
fn record(text: &mut Text, worker: &WorkerView) {
    for (name, help, amount) in [
        (
            "stake_gen",
            "Stake, unbonding stake included, in GEN.",
            worker.stake,
        ),
        (
            "exposure_gen",
            "Stake reserved for claims and unpaid results, in GEN.",
            worker.exposure,
        ),
        (
            "free_stake_gen",
            "Stake that new claims can reserve, in GEN.",
            worker.free_stake,
        ),
    ] {
        text.put(name, "gauge", help, gen(amount));
    }
    text.put(
        "chilled",
        "gauge",
        "1 if the worker takes no new jobs.",
        if worker.chilled { 1.0 } else { 0.0 },
    );
    for (name, help, count) in [
        ("jobs_paid_total", "Results that were paid.", worker.settled),
        (
            "jobs_late_total",
            "Jobs that were not delivered in time.",
            worker.late,
        ),
        (
            "results_rejected_total",
            "Results that auditors found wrong.",
            worker.rejected,
        ),
        (
            "audit_seats_right_total",
            "Seats whose ballot was the verdict.",
            worker.audited,
        ),
    ] {
        text.put(name, "counter", help, count as f64);
    }
}

/// Metrics as text, one after the other.
struct Text(String);

impl Text {
    fn put(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.put_as(&format!("{}_{name}", meters::PREFIX), kind, help, value);
    }

    fn put_as(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        // Writing to a string cannot fail.
        let _ = write!(
            self.0,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
        );
    }
}

/// Base units as GEN: for a graph, not for sums.
fn gen(amount: u128) -> f64 {
    amount as f64 / crate::amount::GEN as f64
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::{fleet::tests::named, Fleet};

    fn worker() -> WorkerView {
        WorkerView {
            stake: 1_500_000_000_000,
            unbonding: Vec::new(),
            withdrawable: 0,
            exposure: 0,
            free_stake: 0,
            chilled: false,
            endpoint: Default::default(),
            offers: 1,
            claims: 2,
            settled: 7,
            late: 0,
            rejected: 0,
            last_rejection: None,
            audited: 3,
            open_audits: 0,
        }
    }

    fn state(worker: Option<WorkerView>, at: Instant) -> State {
        let seen = Seen {
            at,
            block: 12,
            free: 0,
            worker,
            claims: 2,
            seats: 1,
            seats_due: 1,
        };
        State {
            seen: Some(seen),
            failures: 4,
            meters: {
                let meters = Meters::default();
                meters.device("cpu", "scalar", 1);
                let fleet = Fleet::default();
                ["one", "two"]
                    .into_iter()
                    .for_each(|name| fleet.add(named(name)));
                meters.fleet(fleet);
                meters
            },
        }
    }

    fn get(path: &str, state: &State, now: Instant) -> (&'static str, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        respond(request.as_bytes(), state, now)
    }

    #[test]
    fn metrics_have_help_type_and_value() {
        let now = Instant::now();
        let (status, text) = get("/metrics", &state(Some(worker()), now), now);
        assert_eq!(status, "200 OK");
        for line in [
            "# TYPE genesisflow_worker_jobs_paid_total counter",
            "genesisflow_worker_jobs_paid_total 7",
            "genesisflow_worker_stake_gen 1.5",
            "genesisflow_worker_finalized_block 12",
            "genesisflow_worker_chain_read_failures_total 4",
            "genesisflow_worker_audit_seats_due 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    /// Names and types, as a scrape shows them and as the documentation lists
    /// them.
    #[test]
    fn the_documentation_lists_every_metric_and_no_other() {
        let now = Instant::now();
        let (_, text) = get("/metrics", &state(Some(worker()), now), now);
        let shown = text.lines().filter_map(|line| {
            let mut words = line.strip_prefix("# TYPE ")?.split(' ');
            Some(format!("{} {}", words.next()?, words.next()?))
        });
        let mut shown: Vec<String> = shown.collect();
        let documentation = include_str!("../../../docs/metrics.md");
        let listed = documentation.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|');
            let name = cells.next()?.trim().trim_end_matches('`');
            let name = name.split('{').next()?;
            let kind = cells.next()?.trim();
            ["counter", "gauge", "histogram"]
                .contains(&kind)
                .then(|| format!("{name} {kind}"))
        });
        let mut listed: Vec<String> = listed.collect();
        shown.sort();
        listed.sort();
        assert_eq!(listed, shown);
    }

    #[test]
    fn ready_means_that_the_chain_answers_and_jobs_are_taken() {
        let now = Instant::now();
        let ready = |state: &State, now| get("/ready", state, now);
        assert_eq!(ready(&state(Some(worker()), now), now).0, "200 OK");
        let later = now + FRESH + Duration::from_secs(1);
        let (status, why) = ready(&state(Some(worker()), now), later);
        assert_eq!(status, "503 Service Unavailable");
        assert!(why.contains("61 s ago"), "{why}");
        let mut chilled = worker();
        chilled.chilled = true;
        assert!(ready(&state(Some(chilled), now), now).1.contains("chilled"));
        assert!(ready(&state(None, now), now).1.contains("no stake"));
        assert!(ready(&State::default(), now).1.contains("not read yet"));
    }

    #[test]
    fn a_failed_device_shows_and_without_any_the_worker_is_not_ready() {
        let now = Instant::now();
        let mut state = state(Some(worker()), now);
        let fleet = Fleet::default();
        let devices = ["one", "two"].map(named);
        devices.iter().for_each(|device| fleet.add(device.clone()));
        state.meters = Meters::default();
        state.meters.fleet(fleet.clone());
        let up = |state: &State, line: &str| {
            let line = format!("genesisflow_worker_device_up{{device={line}");
            get("/metrics", state, now).1.lines().any(|l| l == line)
        };
        assert!(up(&state, "\"one\"} 1") && up(&state, "\"two\"} 1"));
        fleet.give_up(&devices[0], "it burns");
        assert!(up(&state, "\"one\"} 0") && up(&state, "\"two\"} 1"));
        assert_eq!(get("/ready", &state, now).0, "200 OK");
        fleet.give_up(&devices[1], "it froze");
        let (status, why) = get("/ready", &state, now);
        assert_eq!(status, "503 Service Unavailable");
        assert!(why.contains("one: it burns; two: it froze"), "{why}");
    }

    #[test]
    fn only_known_paths_are_answered_and_nonsense_is_no_panic() {
        let (state, now) = (State::default(), Instant::now());
        assert_eq!(get("/health", &state, now).0, "200 OK");
        assert_eq!(get("/", &state, now).0, "404 Not Found");
        let post = respond(b"POST /metrics HTTP/1.1\r\n\r\n", &state, now);
        assert_eq!(post.0, "405 Method Not Allowed");
        assert_eq!(respond(&[0xff; 9], &state, now).0, "405 Method Not Allowed");
    }
}
