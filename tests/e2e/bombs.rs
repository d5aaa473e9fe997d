//! Templates that never end: they cost their own Applications an error, and nobody else anything.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use caravel_tests::kubectl::Kubectl;
use caravel_tests::wait::eventually;

use crate::place::{Place, application};

/// How many Applications burst at once.
const BOMBS: usize = 8;

/// Disjunctions whose evaluation takes for ever with one parameter, and is over at once with all others.
fn bomb(index: usize) -> String {
    use std::fmt::Write as _;
    let mut template = String::from("output: {apiVersion: \"v1\", kind: \"ConfigMap\"}\n");
    template += "if parameter.size > 2 {\noutput: data: {\n";
    for branch in 0..16 {
        let _ = writeln!(template, "{{a{branch}: \"1\"}} | {{b{branch}: \"1\"}}");
    }
    let _ = writeln!(
        template,
        "}}\n}}\nparameter: size: int\n// the bomb {index}"
    );
    let indented = template.replace('\n', "\n        ");
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: ComponentDefinition\nmetadata: {{name: bomb-{index}}}\nspec:\n  \
         workload: {{definition: {{apiVersion: v1, kind: ConfigMap}}}}\n  schematic:\n    cue:\n      template: |\n        {indented}\n"
    )
}

/// With eight bombs from eight Applications at once a ninth, good one runs, long before the last of them had its time.
/// What decides is the order, not the clock.
#[test]
fn a_good_application_runs_while_others_burst() {
    let place = Place::own("good");
    for index in 0..BOMBS {
        place.run(&format!("create namespace bomb-{index}")).ok();
        place.kubectl.file("bomb.yaml", &bomb(index));
        let apply = format!("apply -n bomb-{index} -f bomb.yaml");
        place.kubectl.run(&apply).ok();
    }
    let begun = AtomicUsize::new(0);
    let over = AtomicUsize::new(0);
    thread::scope(|scope| {
        for index in 0..BOMBS {
            let (place, begun, over) = (&place, &begun, &over);
            scope.spawn(move || {
                let kubectl = Kubectl::new(&place.daemon);
                kubectl.file(
                    "app.yaml",
                    &application("bad", &format!("bomb-{index}"), "{size: 3}"),
                );
                begun.fetch_add(1, Ordering::SeqCst);
                // Admission tries it, and gives up on it in its time.
                kubectl.run(&format!("apply -n bomb-{index} -f app.yaml"));
                over.fetch_add(1, Ordering::SeqCst);
            });
        }
        eventually("all have begun", || {
            (begun.load(Ordering::SeqCst) == BOMBS).then_some(())
        });
        place
            .apply(&application("web", "webservice", "{image: nginx:1}"))
            .ok();
        place.wait_until_running("web");
        let over = over.load(Ordering::SeqCst);
        // Nobody needs to wait for the rest.
        let pid = place.daemon.pid().to_string();
        let killed = Command::new("kill").args(["-9", &pid]).status();
        assert!(killed.is_ok_and(|status| status.success()));
        assert!(
            over < BOMBS / 2,
            "{over} bombs were over before the good one ran"
        );
    });
}

/// One definition for all, with parameters that let it burst in one namespace: others use it as if nothing had happened, and
/// the step of the bad Application waits to be tried again instead of failing for good within seconds.
#[test]
fn the_parameters_of_one_namespace_cost_the_users_of_a_definition_nothing() {
    let place = Place::own("innocent");
    place.kubectl.file("bomb.yaml", &bomb(9));
    place.kubectl.run("apply -n vela-system -f bomb.yaml").ok();
    place.run("create namespace guilty").ok();
    let bad = application("bad", "bomb-9", "{size: 3}");
    place.kubectl.file("bad.yaml", &bad);
    place.kubectl.run("apply -n guilty -f bad.yaml").ok();
    let step = eventually("the bad one has to wait", || {
        let application = place.kubectl.get("app", "guilty", "bad")?;
        let step = application["status"]["workflow"]["steps"][0].clone();
        let message = step["message"].as_str().unwrap_or_default();
        message
            .contains("exceeded its evaluation limits")
            .then_some(step)
    });
    assert_eq!(
        (&step["phase"], &step["reason"]),
        (&"running".into(), &"Wait".into())
    );
    let message = step["message"].as_str().unwrap_or_default();
    assert!(message.contains("component type bomb-9"), "{message}");
    place
        .apply(&application("good", "bomb-9", "{size: 1}"))
        .ok();
    place.wait_until_running("good");
}
