//! The media type of an answer: the first one in `Accept` that the API server knows.

use http::HeaderMap;
use http::header::ACCEPT;

/// A media type of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// JSON.
    Json,
    /// Kubernetes' protobuf.
    Protobuf,
    /// JSON, with a row of columns for each object, for kubectl to print.
    Table,
}

impl Form {
    /// The preferred media type of a client, for a resource with or without protobuf; `None` if the server has none that is
    /// accepted.
    pub(super) fn accepted(headers: &HeaderMap, has_protobuf: bool) -> Option<Self> {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut ranges: Vec<Range> = values.flat_map(|value| value.split(',')).filter_map(Range::read).collect();
        if ranges.is_empty() {
            return Some(Self::Json);
        }
        ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        ranges.iter().find_map(|range| match range.name {
            "application/vnd.kubernetes.protobuf" if !range.is_table => has_protobuf.then_some(Self::Protobuf),
            "application/json" if range.is_table => Some(Self::Table),
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            _ => None,
        })
    }

    /// The media type of a list, an object or an error.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::Table => "application/json",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// The media type of a watch.
    pub(super) fn stream_type(self) -> &'static str {
        match self {
            Self::Json | Self::Table => "application/json",
            Self::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        }
    }
}

/// One media range of `Accept`.
struct Range<'a> {
    name: &'a str,
    quality: f32,
    is_table: bool,
}

impl<'a> Range<'a> {
    /// Parses it; `None` for a transformation that the simulator does not serve, such as `as=PartialObjectMetadata`.
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let (mut quality, mut is_table) = (1.0, false);
        for (key, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            match key {
                "as" if value == "Table" => is_table = true,
                "as" => return None,
                "v" if is_table && value != "v1" => return None,
                "q" => quality = value.parse().ok()?,
                _ => {}
            }
        }
        Some(Self { name, quality, is_table })
    }
}

#[cfg(test)]
mod tests {
    use super::Form;
    use http::HeaderMap;
    use http::header::ACCEPT;

    fn accepted(accept: &'static str, has_protobuf: bool) -> Option<Form> {
        Form::accepted(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]), has_protobuf)
    }

    #[test]
    fn the_first_that_there_is() {
        use Form::{Json, Protobuf, Table};
        let both = "application/vnd.kubernetes.protobuf, application/json";
        for (accept, expected, without) in [
            (both, Some(Protobuf), Some(Json)),
            ("application/json,application/vnd.kubernetes.protobuf", Some(Json), Some(Json)),
            ("application/json;q=0.5, application/vnd.kubernetes.protobuf;q=0.9", Some(Protobuf), Some(Json)),
            ("application/vnd.kubernetes.protobuf;stream=watch", Some(Protobuf), None),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Some(Table), Some(Table)),
            (
                "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
                Some(Json),
                Some(Json),
            ),
            ("application/vnd.kubernetes.protobuf;as=Table, application/json", Some(Json), Some(Json)),
            ("*/*", Some(Json), Some(Json)),
            ("text/html", None, None),
        ] {
            assert_eq!((accepted(accept, true), accepted(accept, false)), (expected, without), "{accept}");
        }
        assert_eq!(Form::accepted(&HeaderMap::new(), true), Some(Json));
    }
}
