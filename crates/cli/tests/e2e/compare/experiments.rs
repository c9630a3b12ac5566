//! The generated experiment by company beside its truth.

use serde_json::json;

use super::{Comparison, number};

const PATH: &str = "/api/v1/experiments/short_consent";

impl Comparison<'_> {
    /// The matured journeys of each variant, and those of them that linked.
    pub(super) fn experiment(&mut self) {
        let (start, _) = self.range();
        let definition = json!({
            "unit": "company",
            "variants": [{"name": "control", "weight": 0.5}, {"name": "treatment", "weight": 0.5}],
            "start": start,
            "funnel": "linking",
            "primary": [{"name": "Linked"}],
            "method": {"continuous": {}}
        });
        let body = json!({"name": "Shorter consent", "definition": definition});
        self.api.put(PATH, &body);
        let answer = self.api.get(&format!("{PATH}/results"));
        let (_, truth) = self.truth(&answer["meta"]["watermark"]);
        for (place, variant) in ["control", "treatment"].into_iter().enumerate() {
            let truth = &truth.linking.by["experiment"][variant].matured;
            let what = format!("experiment, {variant}");
            let told = &answer["variants"][place];
            let matured = number(&told["matured_subjects"]);
            self.differences
                .eq(&format!("{what}, matured"), matured, truth.entered);
            let arm = &answer["primary"][0]["arms"][place];
            let share = arm["value"].as_f64().unwrap_or_default();
            #[expect(clippy::cast_precision_loss, reason = "counts of a test")]
            let rate = truth.converted as f64 / truth.entered.max(1) as f64;
            let is_same = (share - rate).abs() < 1e-12;
            self.differences
                .eq(&format!("{what}, {share} for {rate}"), is_same, true);
        }
        let two = number(&answer["health"]["in_two_variants"]);
        self.differences.eq("experiment, in two variants", two, 0);
    }
}
