//! Settings, help, exit codes.

use super::sandbox::Sandbox;
use serde_json::json;

#[test]
fn each_place_beats_the_one_below_it() {
    let sandbox = Sandbox::new();
    let epochs = |sandbox: &Sandbox, arguments: &str, variables: &[(&str, &str)]| {
        let shown = sandbox.run_with(&format!("config show --json {arguments}"), variables).ok().json();
        (shown["epochs"]["value"].as_u64().unwrap(), shown["epochs"]["source"].as_str().unwrap().to_owned())
    };
    assert_eq!(epochs(&sandbox, "", &[]), (20, "default".into()));
    sandbox.write(".env", "EPOCHS=2\n");
    assert_eq!(epochs(&sandbox, "", &[]), (2, "EPOCHS in .env".into()));
    sandbox.write("mine.toml", "# mine\nepochs = 3\n");
    assert_eq!(epochs(&sandbox, "--recipe mine.toml", &[]), (3, "recipe mine.toml, line 2".into()));
    assert_eq!(epochs(&sandbox, "--recipe mine.toml", &[("EPOCHS", "4")]), (4, "environment variable EPOCHS".into()));
    assert_eq!(epochs(&sandbox, "--recipe mine.toml --epochs 5", &[("EPOCHS", "4")]), (5, "flag --epochs".into()));
    // An empty variable is one that is not set.
    assert_eq!(epochs(&sandbox, "", &[("EPOCHS", "")]), (2, "EPOCHS in .env".into()));
    assert_eq!(epochs(&sandbox, "--env-file none", &[]), (20, "default".into()));
    assert_eq!(epochs(&sandbox, "", &[("ANMOK_ENV_FILE", "none")]), (20, "default".into()));
}

#[test]
fn a_variable_that_overrides_a_recipe_is_told() {
    let sandbox = Sandbox::new();
    let said = sandbox.run_with("config show --recipe seed", &[("BATCH_SIZE", "32")]).ok();
    assert!(said.err.contains("BATCH_SIZE=32 from the environment overrides batch_size = 64 of recipe seed"), "{}", said.err);
    let same = sandbox.run_with("config show --recipe seed", &[("BATCH_SIZE", "64")]).ok();
    assert_eq!(same.err, "");
}

#[test]
fn mlflows_name_of_the_experiment_beats_the_seeds() {
    let sandbox = Sandbox::new();
    let variables = [("EXPERIMENT_NAME", "seed"), ("MLFLOW_EXPERIMENT_NAME", "mlflow")];
    let shown = sandbox.run_with("config show --json", &variables).ok().json();
    assert_eq!(shown["experiment_name"]["value"], "mlflow");
    let shown = sandbox.run_with("config show --json", &variables[..1]).ok().json();
    assert_eq!(
        shown["experiment_name"],
        json!({ "value": "seed", "source": "environment variable EXPERIMENT_NAME", "variables": ["MLFLOW_EXPERIMENT_NAME", "EXPERIMENT_NAME"] })
    );
}

#[test]
fn all_problems_are_told_at_once_with_their_sources() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "LEARNING_RATE=fast\nBATCHSIZE=3\n");
    sandbox.write("typo.toml", "epochz = 3\n\noptimizer = \"adm\"\nuse_augmentation = \"yes\"\ntracking_uri = \"x\"\n");
    let said = sandbox.run_with("train --recipe typo.toml --batch-size 0 --model-name resnet19", &[("DEVICE", "mps"), ("STEM", "tiny")]);
    said.fails(
        2,
        &[
            "9 settings cannot be used",
            "optimizer = \"adm\" (recipe typo.toml, line 3): not known: did you mean adam?",
            "epochz (recipe typo.toml, line 1): no such setting: did you mean epochs?",
            "use_augmentation (recipe typo.toml, line 4): must be true or false",
            "tracking_uri (recipe typo.toml, line 5): not part of a recipe: use --tracking-uri or MLFLOW_TRACKING_URI",
            "learning_rate = \"fast\" (LEARNING_RATE in .env): must be a number",
            "batch_size = 0 (flag --batch-size)",
            "model_name = resnet19 (flag --model-name)",
            "resnet18",
            "device = mps (environment variable DEVICE): this build runs on the CPU only: use auto",
            "stem = \"tiny\" (environment variable STEM): not known (allowed: imagenet, cifar)",
        ],
    );
    sandbox.write(".env", "");
    sandbox.write("near.toml", "optimizer = \"adm\"\n");
    let said = sandbox
        .run("config show --recipe near.toml")
        .fails(2, &["optimizer = \"adm\" (recipe near.toml, line 1): not known: did you mean adam?"]);
    assert!(!said.err.contains("settings cannot be used\n  optimizer"), "{}", said.err);
}

#[test]
fn what_lies_near_is_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.run("trian").fails(2, &["similar subcommand exists: 'train'"]);
    sandbox.run("train --epoch 3").fails(2, &["similar argument exists: '--epochs'"]);
    sandbox.run("train --recipe cifar10-strng").fails(2, &["did you mean cifar10-strong?"]);
    sandbox.write(".env", "BATCHSIZE=3\nPOSTGRES_PASSWORD=x\n");
    let said = sandbox.run("config show").fails(0, &["BATCHSIZE in .env is not a setting and has no effect: did you mean BATCH_SIZE?"]);
    assert!(!said.err.contains("POSTGRES"), "{}", said.err);
}

#[test]
fn passwords_are_not_shown() {
    let sandbox = Sandbox::new();
    let said = sandbox.run_with("config show", &[("MLFLOW_TRACKING_URI", "postgresql://anna:geheim@db/mlflow")]).ok();
    assert!(said.out.contains("postgresql://anna:***@db/mlflow") && !said.out.contains("geheim"), "{}", said.out);
}

#[test]
fn every_built_in_recipe_can_be_used() {
    let sandbox = Sandbox::new();
    let names = sandbox.run("config recipes").ok().out;
    for name in names.lines().filter_map(|line| line.split_whitespace().next()) {
        let shown = sandbox.run(&format!("config show --json --recipe {name}")).ok().json();
        assert!(shown["epochs"]["source"].as_str().unwrap().starts_with(&format!("recipe {name}, line ")), "{name}");
        let text = sandbox.run(&format!("config recipes {name}")).ok().out;
        assert!(text.starts_with("# "), "{text}");
    }
}

#[test]
fn help_and_completions_are_there() {
    let sandbox = Sandbox::new();
    let help = sandbox.run("--help").ok().out;
    assert!(help.contains("Exit codes: 0 success") && help.contains("Examples:"), "{help}");
    let help = sandbox.run("train --help").ok().out;
    assert!(help.contains("--learning-rate <X>") && help.contains("environment: MLFLOW_EXPERIMENT_NAME, EXPERIMENT_NAME"), "{help}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(sandbox.run(&format!("completions {shell}")).ok().out.contains("quickstart"), "{shell}");
    }
}

#[test]
fn a_model_is_summed_up() {
    let sandbox = Sandbox::new();
    let text = sandbox.run("model summary resnet18").ok().out;
    assert!(text.contains("11,181,642 parameters") && text.contains("conv1"), "{text}");
    let json = sandbox.run("model summary --json --stem cifar").ok().json();
    assert_eq!((json["model"].as_str(), json["parameters"].as_u64()), (Some("mobilenet_v3_small"), Some(1_528_106)));
    assert!(sandbox.run("model list").ok().out.contains("mobilenet_v3_large"));
    sandbox.run("model summary vgg16").fails(2, &["vgg16", "mobilenet_v3_small"]);
}

#[test]
fn the_doctor_looks_and_touches_nothing() {
    let sandbox = Sandbox::new();
    let findings = sandbox.run("doctor --json").ok().json();
    let subjects: Vec<&str> = findings.as_array().unwrap().iter().filter_map(|finding| finding["subject"].as_str()).collect();
    assert!(["processor", "memory", "tracking", "CIFAR10"].iter().all(|subject| subjects.contains(subject)), "{subjects:?}");
    assert_eq!(std::fs::read_dir(sandbox.path("")).unwrap().count(), 0);
    sandbox.write("other.db", "not a database at all");
    sandbox.run("doctor --tracking-uri sqlite:///other.db").fails(1, &["in the way"]);
}
