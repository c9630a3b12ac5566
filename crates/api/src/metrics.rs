//! Counts requests, and shows every counter of the process as Prometheus text.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder,
};

use crate::access::Caller;
use crate::app::App;
use crate::problem::{Answer, Problem};

/// The counters of the HTTP door.
#[derive(Clone)]
pub(crate) struct HttpMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl HttpMetrics {
    /// Adds the counters to the registry. A second router on one registry counts for itself, unseen.
    pub(crate) fn register(registry: &Registry) -> HttpMetrics {
        let requests = IntCounterVec::new(
            Opts::new("linkfunnel_http_requests_total", "HTTP requests answered."),
            &["route", "method", "status"],
        )
        .expect("name and labels are constant and valid");
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "linkfunnel_http_request_seconds",
                "Time from the request's head to the answer's head, in seconds.",
            )
            .buckets(vec![
                0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0,
            ]),
            &["route"],
        )
        .expect("name, labels and buckets are constant and valid");
        let added = registry
            .register(Box::new(requests.clone()))
            .and_then(|()| registry.register(Box::new(seconds.clone())));
        if let Err(error) = added {
            tracing::warn!(%error, "http counters not shown");
        }
        HttpMetrics { requests, seconds }
    }

    /// Counts one answer. `route` is the pattern, so that the labels stay few.
    pub(crate) fn observe(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let method = known_method(method);
        self.requests
            .with_label_values(&[route, method, status.as_str()])
            .inc();
        self.seconds
            .with_label_values(&[route])
            .observe(took.as_secs_f64());
    }
}

/// The method as a label; anybody can invent methods, so unknown ones share one.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

/// Every counter of the process. Needs the scope `admin` unless the configuration opens it;
/// a key sees no series of another tenant.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, description = "Prometheus text format", body = String, content_type = "text/plain"),
    (status = "default", response = crate::openapi::Refused),
))]
pub(crate) async fn metrics(
    State(app): State<App>,
    caller: Option<Extension<Caller>>,
) -> Answer<Response> {
    let mut families = app.metrics.gather();
    if let Some(Extension(caller)) = caller.filter(|_| !app.keys.is_empty()) {
        hide_other_tenants(&mut families, &caller.tenant);
    }
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    encoder.encode(&families, &mut text).map_err(|error| {
        tracing::error!(%error, "metrics not encoded");
        Problem::internal()
    })?;
    let format = encoder.format_type().to_owned();
    Ok(([(header::CONTENT_TYPE, format)], text).into_response())
}

/// Leaves out the series whose label `tenant` names somebody else.
fn hide_other_tenants(families: &mut Vec<MetricFamily>, tenant: &str) {
    for family in families.iter_mut() {
        family.mut_metric().retain(|metric| {
            let mut labels = metric.get_label().iter();
            labels.all(|label| label.name() != "tenant" || label.value() == tenant)
        });
    }
    families.retain(|family| !family.get_metric().is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_sees_no_series_of_another_tenant() {
        let registry = Registry::new();
        let counts = IntCounterVec::new(Opts::new("n", "h"), &["tenant"]).unwrap();
        registry.register(Box::new(counts.clone())).unwrap();
        counts.with_label_values(&["acme"]).inc();
        counts.with_label_values(&["other"]).inc();
        let plain = prometheus::IntCounter::new("m", "h").unwrap();
        registry.register(Box::new(plain)).unwrap();
        let mut families = registry.gather();
        hide_other_tenants(&mut families, "acme");
        let text = TextEncoder::new().encode_to_string(&families).unwrap();
        assert!(
            text.contains("n{tenant=\"acme\"} 1") && text.contains("\nm 0"),
            "{text}"
        );
        assert!(!text.contains("other"), "{text}");
    }
}
