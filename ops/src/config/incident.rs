//! Where that lies which stands around an incident, for whoever packs one.

use std::path::PathBuf;

use reqwest::Url;

use super::names;
use super::reader::Reader;

/// What is packed beside histories, where the command line names nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentConfig {
    /// The Prometheus that keeps our metrics.
    pub prometheus: Option<Url>,
    /// The files to which engines and workers log.
    pub logs: Vec<PathBuf>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> IncidentConfig {
    let mut section = reader.section("incident");
    let text = section.optional_text("prometheus");
    let url = text.as_ref().and_then(|text| Url::parse(text).ok());
    let prometheus = url.filter(|url| ["http", "https"].contains(&url.scheme()));
    if text.is_some() && prometheus.is_none() {
        section.fault("prometheus", "is its address, such as http://127.0.0.1:9090");
    }
    let holds_more =
        |url: &Url| !url.username().is_empty() || url.password().is_some() || url.query().is_some();
    if prometheus.as_ref().is_some_and(holds_more) {
        section.fault("prometheus", "is an address and nothing more: a login stands in no file");
    }
    let logs = names(section.optional_text("logs")).into_iter().map(PathBuf::from).collect();
    IncidentConfig { prometheus, logs }
}
