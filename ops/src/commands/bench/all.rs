//! Every figure of the engine in one report, beside its target. Each is measured on a platform
//! of its own.

use serde::Serialize;

use super::report::{Settings, Spread};
use super::{alone, finished, handover, live, replay, six_steps};
use crate::cli::Global;
use crate::cli::demo::{
    FinishedLoad, HandoverLoad, LiveLoad, LongHistory, ReportSizes, Servers, SixSteps,
};
use crate::exit::Ended;
use crate::output;
use crate::story::table::table;

/// The partitions of each platform.
const PARTITIONS: u16 = 8;
/// The steps of a run before it waits.
const STEPS: u32 = 2;
/// For how many finished runs the target is.
const FULL: u32 = 1_000_000;

/// One line: what was measured, the target, and what came of it.
#[derive(Serialize)]
struct Figure {
    what: String,
    target: Target,
    unit: &'static str,
    measured: Spread,
    /// How many servers kept it; nothing where there was none.
    replicas: Option<usize>,
    reached: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
}

/// What is to be reached.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// All of it.
#[derive(Serialize)]
struct Report {
    figures: Vec<Figure>,
    settings: Vec<Settings>,
}

impl Figure {
    fn new(
        what: impl Into<String>,
        target: Target,
        unit: &'static str,
        measured: Spread,
        replicas: Option<usize>,
    ) -> Self {
        let reached = target.is_reached(measured.median);
        Self { what: what.into(), target, unit, measured, replicas, reached, note: String::new() }
    }

    fn cells(&self) -> [String; 6] {
        let log = self.replicas.map(|replicas| format!("R{replicas}"));
        let reached = if self.reached { "yes" } else { "no" };
        [
            self.what.clone(),
            format!("{} {}", self.target.words(), self.unit),
            format!("{} {}", self.measured.median, self.unit),
            self.measured.range(),
            log.unwrap_or_default(),
            format!("{reached}{}", self.note),
        ]
    }
}

impl Target {
    fn is_reached(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}"),
            Self::AtMost(most) => format!("<= {most}"),
        }
    }
}

/// Carries all measurements out.
pub async fn carry_out(global: &Global, sizes: &ReportSizes) -> Result<(), Ended> {
    let mut report = Report { figures: Vec::new(), settings: Vec::new() };
    rates(&mut report, sizes, &sizes.servers).await?;
    if sizes.cluster && sizes.servers.replicas == 1 {
        let cluster = Servers { replicas: 3, ..sizes.servers.clone() };
        rates(&mut report, sizes, &cluster).await?;
    }
    report.figures.push(held(sizes).await?);
    report.figures.push(back(sizes).await?);
    report.figures.push(handed_over(sizes).await?);
    report.figures.push(after(sizes).await?);
    report.figures.push(one_history().await?);
    match (global.json, sizes.markdown) {
        (true, _) => output::json(&report),
        (false, true) => output::line(&markdown(&report)),
        (false, false) => output::line(&shown(&report)),
    }
    Ok(())
}

const HEAD: [&str; 6] = ["WHAT", "TARGET", "MEASURED", "RANGE", "LOG", "REACHED"];

fn shown(report: &Report) -> String {
    let rows: Vec<[String; 6]> = report.figures.iter().map(Figure::cells).collect();
    let settings = report.settings.iter().map(|settings| format!("\nmeasured with {settings}"));
    format!("{}\n{}", table(HEAD, &rows, output::width()), settings.collect::<String>())
}

fn markdown(report: &Report) -> String {
    let row = |cells: [String; 6]| format!("| {} |\n", cells.join(" | "));
    let mut text = row(HEAD.map(str::to_lowercase)) + &row(HEAD.map(|_| "---".to_owned()));
    text.extend(report.figures.iter().map(|figure| row(figure.cells())));
    text.extend(report.settings.iter().map(|settings| format!("\nMeasured with {settings}.\n")));
    text.trim_end().to_owned()
}

async fn rates(report: &mut Report, sizes: &ReportSizes, servers: &Servers) -> Result<(), Ended> {
    let load = |in_flight, runs| SixSteps {
        servers: servers.clone(),
        in_flight,
        runs: Some(runs),
        warm_up: None,
        partitions: PARTITIONS,
    };
    let (mut many, mut one, mut settings) = (Vec::new(), Vec::new(), None);
    for _ in 0..sizes.rounds {
        let (crowd, single) = (load(256, 15_000), load(1, 1_500));
        let crowd = alone(async |sandbox| six_steps::measured(sandbox, &crowd).await).await?;
        many.push(crowd.runs_per_second);
        let single = alone(async |sandbox| six_steps::measured(sandbox, &single).await).await?;
        one.push(single.p50_ms);
        settings = Some(single.settings);
    }
    report.settings.extend(settings);
    let replicas = Some(servers.replicas);
    report.figures.push(Figure::new(
        "six remote steps, 256 in flight",
        Target::AtLeast(1_000.0),
        "runs/s",
        Spread::of(&many, 0),
        replicas,
    ));
    report.figures.push(Figure::new(
        "six remote steps, one at a time, p50",
        Target::AtMost(5.0),
        "ms",
        Spread::of(&one, 2),
        replicas,
    ));
    Ok(())
}

fn waiting(sizes: &ReportSizes, runs: u32) -> LiveLoad {
    LiveLoad { servers: sizes.servers.clone(), runs, steps: STEPS, partitions: PARTITIONS }
}

async fn held(sizes: &ReportSizes) -> Result<Figure, Ended> {
    let (load, mut resident) = (waiting(sizes, sizes.live), Vec::new());
    for _ in 0..sizes.rounds {
        let held = alone(async |sandbox| live::measured(sandbox, &load).await).await?;
        // The target is in millions of bytes.
        resident.push(held.engine_resident_mib.unwrap_or(f64::INFINITY) * 1.048_576);
    }
    Ok(Figure::new(
        format!("engine resident with {} live runs", sizes.live),
        Target::AtMost(150.0),
        "MB",
        Spread::of(&resident, 0),
        Some(sizes.servers.replicas),
    ))
}

async fn back(sizes: &ReportSizes) -> Result<Figure, Ended> {
    let load = waiting(sizes, sizes.killed);
    let back = alone(async |sandbox| live::measured(sandbox, &load).await).await?;
    let mut figure = Figure::new(
        format!("{} live runs back after kill -9", back.runs),
        Target::AtMost(10.0),
        "s",
        Spread::of(&[back.back_seconds], 1),
        Some(sizes.servers.replicas),
    );
    let missing = (back.runs as usize).saturating_sub(back.found_waiting);
    if missing > 0 {
        figure.reached = false;
        figure.note = format!("; {missing} did not wait as before");
    }
    Ok(figure)
}

async fn handed_over(sizes: &ReportSizes) -> Result<Figure, Ended> {
    let load = HandoverLoad {
        servers: sizes.servers.clone(),
        runs: sizes.handed_over,
        times: sizes.rounds.max(3),
        partitions: PARTITIONS,
    };
    let over = alone(async |sandbox| handover::measured(sandbox, &load).await).await?;
    Ok(Figure::new(
        format!("what a stopping engine owned answers at another, with {} live runs", load.runs),
        Target::AtMost(1.0),
        "s",
        over.handed_over_seconds,
        Some(sizes.servers.replicas),
    ))
}

async fn after(sizes: &ReportSizes) -> Result<Figure, Ended> {
    let load = FinishedLoad {
        servers: sizes.servers.clone(),
        runs: if sizes.full { FULL } else { sizes.finished },
        steps: 1,
        rounds: (2 * sizes.rounds).max(2),
        in_flight: 256,
        partitions: PARTITIONS,
    };
    let after = alone(async |sandbox| finished::measured(sandbox, &load).await).await?;
    let what = format!(
        "rate with {} finished runs, {} of them in the archive, of that with none",
        after.finished, after.archived
    );
    let measured = Spread { median: after.percent, ..after.percents };
    let replicas = Some(sizes.servers.replicas);
    let mut figure = Figure::new(what, Target::AtLeast(90.0), "%", measured, replicas);
    if load.runs < FULL {
        figure.note = format!("; the target is for {FULL}");
    }
    Ok(figure)
}

async fn one_history() -> Result<Figure, Ended> {
    let long = replay::measured(&LongHistory { events: 10_000, nats_server: None }).await?;
    Ok(Figure::new(
        format!("replay of one history of {} events", long.events),
        Target::AtMost(50.0),
        "ms",
        long.replay,
        None,
    ))
}

#[cfg(test)]
mod tests {
    use super::{Figure, Report, Spread, Target, markdown};

    fn figure(target: Target, samples: &[f64]) -> Figure {
        Figure::new("one thing", target, "ms", Spread::of(samples, 1), Some(3))
    }

    #[test]
    fn a_figure_reaches_its_target_by_its_median() {
        assert!(figure(Target::AtMost(5.0), &[9.0, 5.0, 1.0]).reached);
        assert!(!figure(Target::AtMost(5.0), &[9.0, 5.1, 1.0]).reached);
        assert!(figure(Target::AtLeast(5.0), &[9.0, 5.0, 1.0]).reached);
        assert!(!figure(Target::AtLeast(5.0), &[9.0, 4.9, 1.0]).reached);
    }

    #[test]
    fn a_report_in_markdown_is_a_table_that_can_be_pasted() {
        let figures = vec![figure(Target::AtMost(5.0), &[3.0, 4.0, 2.5])];
        let text = markdown(&Report { figures, settings: Vec::new() });
        let wanted = "\
            | what | target | measured | range | log | reached |\n\
            | --- | --- | --- | --- | --- | --- |\n\
            | one thing | <= 5 ms | 3 ms | 2.5-4 | R3 | yes |";
        assert_eq!(text, wanted);
    }
}
