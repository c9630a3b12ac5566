//! Everything generated, with all the dirt, out of a file: every built-in funnel, by every dimension, equals the truth.

use std::fs::File;
use std::time::Instant;

use linkfunnel_testkit::generate::{Carrier, GenerateConfig, Generator, write_ndjson};

use crate::compare::{Api, Comparison, Copies, Differences};
use crate::program::{Running, run_well};
use crate::truth::{dirty, note, seed};

#[test]
fn a_generated_file_with_all_the_dirt_gives_exactly_the_true_counts_of_every_funnel() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (file, data) = (path("events.ndjson"), path("data"));
    let mut generator = Generator::new(GenerateConfig {
        carrier: Carrier::File,
        tenants: vec!["default".to_owned()],
        ..dirty(seed("imported", 20_261_126), 60_000, 40)
    })
    .unwrap();
    write_ndjson(generator.by_ref(), File::create(&file).unwrap()).unwrap();
    let imported = run_well(&["import", &file, "--data", &data]);
    assert!(imported.contains(" read, "), "{imported}");

    let (server, url) = Running::serve(&["--data", &data]);
    let begun = Instant::now();
    let mut differences = Differences::default();
    let mut comparison = Comparison {
        api: &Api::new(&url, "default"),
        generator: &generator,
        tenant: "default",
        copies: Copies::Maybe,
        differences: &mut differences,
    };
    comparison.everything();
    let compared = differences.none("out of a file");
    let took = begun.elapsed();
    note(&format!("{compared} numbers equal the truth, in {took:?}"));
    assert!(compared > 10_000, "{compared} numbers");
    let (status, _, said) = server.end();
    assert_eq!(status, Some(0), "{said}");
}
