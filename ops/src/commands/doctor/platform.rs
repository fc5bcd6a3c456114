//! The platform on the server: streams, clocks, engines, and who owns what.

use std::collections::BTreeSet;

use stead_nats::inspect::{self, Owners, StreamSeen};
use stead_nats::{Connection, NatsLeases, Platform, PlatformSettings, open_platform};
use stead_schemas::subjects;

use super::encryption;
use super::finding::Finding;
use crate::config::{EngineConfig, Seen};
use crate::exit::with_causes;
use crate::story::words::counted;

/// With so many subjects in a log there is time left to do something about it.
const SUBJECTS_MANY: u64 = 500_000;

/// Looks at all of it.
pub async fn look(
    connection: &Connection,
    seen: &Seen,
    is_given: bool,
    skew_max_ms: u32,
) -> Vec<Finding> {
    let engine = &seen.engine;
    let replicas = if is_given { engine.replicas } else { 1 };
    let settings = PlatformSettings { partitions: None, replicas };
    let platform = match open_platform(connection, settings).await {
        Ok(platform) => platform,
        Err(error) => {
            let mend = "start an engine: `stead engine`";
            return vec![Finding::failed("platform", with_causes(&error), mend)];
        }
    };
    let mut findings = Vec::new();
    if is_given {
        findings.push(partitions_as_set_up(&platform, engine));
    }
    findings.extend(streams(&inspect::inspect_streams(&platform).await, replicas));
    findings.extend(encryption::look(&platform, &seen.nats.keys).await);
    match NatsLeases::new(&platform).owners().await {
        Ok(owners) => {
            findings.push(engines(&owners));
            findings.extend(clocks(&owners, skew_max_ms));
            findings.push(owned(&platform, &owners));
        }
        Err(error) => {
            let words = format!("who owns what cannot be read: {error}");
            let mend = "start an engine, which makes the stream of leases anew";
            findings.push(Finding::failed("engines", words, mend));
        }
    }
    findings
}

fn partitions_as_set_up(platform: &Platform, engine: &EngineConfig) -> Finding {
    let (found, wanted) = (platform.partitions, engine.partitions);
    if found == wanted {
        return Finding::ok("platform", format!("set up with {found} partitions"));
    }
    let words = format!("set up with {found} partitions; the configuration says {wanted}");
    let mend = format!("write `partitions = {found}` in [engine]: the number is fixed for ever");
    Finding::failed("platform", words, mend)
}

fn streams(seen: &[StreamSeen], replicas: usize) -> Vec<Finding> {
    let mut findings: Vec<Finding> = seen.iter().flat_map(stream).collect();
    if findings.is_empty() {
        let words = format!("{} as an engine makes them", counted(seen.len() as u64, "stream"));
        findings.push(Finding::ok("streams", words));
    }
    let few = seen.iter().map(|stream| stream.replicas).filter(|found| *found > 0).min();
    findings.push(kept(few.unwrap_or(replicas)));
    findings
}

fn kept(replicas: usize) -> Finding {
    if replicas < 3 {
        let words = "each message is on one server: when its disk is lost, so is what is since \
                     the last backup";
        let mend = "a cluster of three servers and `replicas = 3`, or `stead backup create` often";
        return Finding::warning("replicas", words, mend);
    }
    Finding::ok("replicas", format!("each message is on {replicas} servers"))
}

fn stream(seen: &StreamSeen) -> Vec<Finding> {
    let check = format!("stream {}", seen.name);
    if let Some(words) = &seen.unseen {
        let mend = match seen.keeps_facts {
            true => "bring it back: `stead backup restore`; an engine never makes it anew",
            false => "start an engine, which makes it anew: nothing is lost with it",
        };
        return vec![Finding::failed(&check, format!("cannot be looked at: {words}"), mend)];
    }
    let mut findings = Vec::new();
    if !seen.deviations.is_empty() {
        let mend = match seen.keeps_facts {
            true => format!(
                "set it back: `nats stream edit {}`; engines refuse to start on it",
                seen.name
            ),
            false => "start an engine anew, which brings it up to date".to_owned(),
        };
        findings.push(Finding::failed(&check, seen.deviations.join("; "), mend));
    }
    if !seen.behind.is_empty() {
        let words = format!("is away or behind on {}", seen.behind.join(", "));
        findings.push(Finding::warning(&check, words, "see that this server runs and catches up"));
    }
    findings.extend(crowded(&check, seen));
    findings
}

/// A server keeps each subject in its memory, and with a million of them in one stream it no longer
/// writes down where they are: killed, it reads the whole stream before it serves it.
fn crowded(check: &str, seen: &StreamSeen) -> Option<Finding> {
    let is_log = subjects::parse_log_stream(&seen.name).is_some();
    (is_log && seen.subjects >= SUBJECTS_MANY).then(|| {
        let words = format!(
            "holds {} runs, and a server that is killed starts slowly with a million in one stream",
            seen.subjects
        );
        let mend = "`stead archive now` takes out what is over, and a lower `archive_after` in [engine] \
                    does so in time; where so many live, only more partitions help";
        Finding::warning(check, words, mend)
    })
}

fn engines(owners: &Owners) -> Finding {
    const CHECK: &str = "engines";
    let builds: BTreeSet<&str> = owners
        .engines
        .iter()
        .map(|engine| engine.build.as_deref().unwrap_or("a build that does not say"))
        .collect();
    let many = counted(owners.engines.len() as u64, "engine");
    match builds.len() {
        0 => Finding::failed(
            CHECK,
            "no engine is there; no run goes on",
            "start one: `stead engine`",
        ),
        1 => {
            let build = builds.first().copied().unwrap_or_default();
            Finding::ok(CHECK, format!("{many} of {build}"))
        }
        _ => {
            let builds: Vec<&str> = builds.into_iter().collect();
            let words = format!("{many} of different builds: {}", builds.join(", "));
            Finding::warning(CHECK, words, "end the rolling upgrade: stop those of the older build")
        }
    }
}

/// The clocks of engines that are off, by what they said last.
fn clocks(owners: &Owners, most_ms: u32) -> Vec<Finding> {
    let off = owners.engines.iter().filter_map(|engine| {
        let behind_ms = engine.behind_ms?;
        let ms = behind_ms.unsigned_abs();
        let direction = if behind_ms > 0 { "behind" } else { "ahead of" };
        // What was long on its way looks as if it had been said long ago.
        (ms > u64::from(most_ms)).then(|| {
            let words = format!("the machine of {} is {ms} ms {direction} the server", engine.engine);
            let mend = "set its clock by NTP (`timedatectl set-ntp true`); if that is right, see why \
                        the engine reaches the server so late";
            Finding::warning("engine clock", words, mend)
        })
    });
    off.collect()
}

fn owned(platform: &Platform, owners: &Owners) -> Finding {
    const CHECK: &str = "partitions";
    let free: Vec<String> = platform
        .all_partitions()
        .filter(|partition| !owners.owned.contains_key(partition))
        .map(|partition| partition.to_string())
        .collect();
    if free.is_empty() {
        let many = counted(owners.owned.len() as u64, "partition");
        return Finding::ok(CHECK, format!("{many}, and each has an owner"));
    }
    let words = format!("nobody owns {}; what is in there stands still", free.join(", "));
    let mend = "engines take them over within seconds; if not, look into their logs";
    Finding::failed(CHECK, words, mend)
}

/// Compares the clocks.
pub async fn clock(connection: &Connection, skew_max_ms: u32, ahead_ms: i32) -> Finding {
    const CHECK: &str = "clock";
    match inspect::clock_behind_ms(connection).await {
        Ok(behind_ms) => apart(behind_ms - i64::from(ahead_ms), skew_max_ms),
        Err(words) => {
            let words = format!("the server's clock cannot be read: {words}");
            Finding::unseen(CHECK, words, "look again once an engine has set the platform up")
        }
    }
}

fn apart(behind_ms: i64, most_ms: u32) -> Finding {
    let ms = behind_ms.unsigned_abs();
    if ms <= u64::from(most_ms) {
        return Finding::ok("clock", format!("agrees with the server's within {most_ms} ms"));
    }
    let direction = if behind_ms > 0 { "behind" } else { "ahead of" };
    let words = format!("this machine is {ms} ms {direction} the server");
    Finding::failed("clock", words, "set the clocks by NTP (`timedatectl set-ntp true`)")
}

#[cfg(test)]
mod tests {
    use stead_nats::inspect::{EngineSeen, Owners, StreamSeen};

    use super::super::finding::Verdict;
    use super::{apart, clocks, engines, stream};

    #[test]
    fn a_clock_that_is_off_is_told_with_its_direction() {
        assert_eq!(apart(-900, 1_000).verdict, Verdict::Ok);
        assert!(apart(4_000, 1_000).words.contains("4000 ms behind"));
        assert!(apart(-4_000, 1_000).words.contains("4000 ms ahead"));
    }

    #[test]
    fn a_log_of_very_many_runs_is_warned_of() {
        let told = |name: &str, subjects: u64| {
            let seen = StreamSeen {
                name: name.to_owned(),
                keeps_facts: true,
                messages: 3 * subjects,
                subjects,
                bytes: 0,
                replicas: 1,
                deviations: Vec::new(),
                unseen: None,
                behind: Vec::new(),
            };
            stream(&seen)
        };
        assert_eq!(told("STEAD_LOG_0_3", 499_999), []);
        assert_eq!(told("STEAD_REFUSALS", 900_000), [], "only logs are read from end to end");
        let found = told("STEAD_LOG_0_3", 500_000).remove(0);
        assert_eq!((&*found.check, found.verdict), ("stream STEAD_LOG_0_3", Verdict::Warning));
        assert!(found.words.contains("holds 500000 runs"), "{}", found.words);
    }

    #[test]
    fn an_engine_whose_clock_is_off_is_named() {
        let engine =
            |name: &str, behind_ms| EngineSeen { engine: name.to_owned(), build: None, behind_ms };
        let seen = [
            engine("one", Some(900)),
            engine("two", Some(-4_000)),
            engine("three", Some(4_000)),
            engine("four", None),
        ];
        let owners = Owners { engines: seen.into(), ..Owners::default() };
        let told: Vec<String> =
            clocks(&owners, 1_000).into_iter().map(|found| found.words).collect();
        assert_eq!(
            told,
            [
                "the machine of two is 4000 ms ahead of the server",
                "the machine of three is 4000 ms behind the server",
            ]
        );
    }

    #[test]
    fn engines_of_different_builds_are_told() {
        let of = |builds: &[Option<&str>]| {
            let engine = |build: &Option<&str>| EngineSeen {
                engine: "e".to_owned(),
                build: build.map(str::to_owned),
                behind_ms: None,
            };
            let engines_seen = builds.iter().map(engine).collect();
            engines(&Owners { engines: engines_seen, ..Owners::default() }).verdict
        };
        assert_eq!(of(&[Some("a"), Some("a")]), Verdict::Ok);
        assert_eq!(of(&[Some("a"), Some("b")]), Verdict::Warning);
        assert_eq!(of(&[Some("a"), None]), Verdict::Warning);
        assert_eq!(of(&[]), Verdict::Failed);
    }
}
