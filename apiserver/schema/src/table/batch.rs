//! Jobs and cron jobs.

use super::columns::{
    AGE, CONTAINERS, Doc::Field, Doc::Text, IMAGES, NAME, NONE, Printer, age, boolean, containers,
    count, has_condition, integer, is_deleted, items, name, or_none, selector, since, text, wide,
};
use super::duration::of_seconds;
use jiff::Timestamp;
use serde_json::Value;

pub(super) fn printer(kind: &str) -> Option<&'static Printer> {
    Some(match kind {
        "Job" => &JOB,
        "CronJob" => &CRON_JOB,
        _ => return None,
    })
}

const JOB: Printer = Printer {
    columns: &[
        NAME,
        text("Status", Text("Status of the job.")),
        text("Completions", Field("batch.v1.JobStatus", "succeeded")),
        text("Duration", Text("Time required to complete the job.")),
        AGE,
        CONTAINERS,
        IMAGES,
        wide("Selector", Field("batch.v1.JobSpec", "selector")),
    ],
    cells: |o, now| {
        let mut cells = vec![
            name(o),
            status(o).into(),
            completions(o).into(),
            duration(o, now).into(),
            age(o, now),
        ];
        cells.extend(containers(&o["spec"]["template"]["spec"]));
        cells.push(selector(&o["spec"]["selector"]).into());
        cells
    },
};

fn status(o: &Value) -> &'static str {
    match () {
        () if has_condition(o, "Complete") => "Complete",
        () if has_condition(o, "Failed") => "Failed",
        () if is_deleted(o) => "Terminating",
        () if has_condition(o, "Suspended") => "Suspended",
        () if has_condition(o, "FailureTarget") => "FailureTarget",
        () if has_condition(o, "SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(o: &Value) -> String {
    let done = count(&o["status"]["succeeded"]);
    match (
        o["spec"]["completions"].as_i64(),
        count(&o["spec"]["parallelism"]),
    ) {
        (Some(all), _) => format!("{done}/{all}"),
        (None, parallel) if parallel > 1 => format!("{done}/1 of {parallel}"),
        (None, _) => format!("{done}/1"),
    }
}

fn duration(o: &Value, now: Timestamp) -> String {
    let time = |field: &str| {
        o["status"][field]
            .as_str()
            .and_then(|t| t.parse::<Timestamp>().ok())
    };
    let Some(start) = time("startTime") else {
        return String::new();
    };
    of_seconds(time("completionTime").unwrap_or(now).as_second() - start.as_second())
}

const CRON_JOB: Printer = Printer {
    columns: &[
        NAME,
        text("Schedule", Field("batch.v1.CronJobSpec", "schedule")),
        text("Timezone", Field("batch.v1.CronJobSpec", "timeZone")),
        boolean("Suspend", Field("batch.v1.CronJobSpec", "suspend")),
        integer("Active", Field("batch.v1.CronJobStatus", "active")),
        text(
            "Last Schedule",
            Field("batch.v1.CronJobStatus", "lastScheduleTime"),
        ),
        AGE,
        CONTAINERS,
        IMAGES,
        wide("Selector", Field("batch.v1.JobSpec", "selector")),
    ],
    cells: |o, now| {
        let (spec, status) = (&o["spec"], &o["status"]);
        let last = &status["lastScheduleTime"];
        let last = if last.is_null() {
            NONE.to_owned()
        } else {
            since(last, now)
        };
        let job = &spec["jobTemplate"]["spec"];
        let mut cells = vec![
            name(o),
            spec["schedule"].as_str().unwrap_or_default().into(),
            or_none(&spec["timeZone"]).into(),
            if spec["suspend"] == true {
                "True"
            } else {
                "False"
            }
            .into(),
            items(&status["active"]).count().into(),
            last.into(),
            age(o, now),
        ];
        cells.extend(containers(&job["template"]["spec"]));
        cells.push(selector(&job["selector"]).into());
        cells
    },
};
