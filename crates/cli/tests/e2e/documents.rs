//! The documents tell the truth about the tree.

use std::path::Path;

/// The paths in backticks that a document names.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|quoted| {
        let first = quoted.split('/').next().unwrap_or("");
        quoted.contains('/') && ["crates", "schemas", "benches", "tests", ".ci"].contains(&first)
    })
}

#[test]
fn every_path_that_the_documents_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for document in ["ARCHITECTURE.md", "README.md", "benches/README.md"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        assert!(paths(&text).next().is_some(), "{document} names no path");
        for path in paths(&text) {
            assert!(root.join(path).exists(), "{document} names {path}");
        }
    }
}
