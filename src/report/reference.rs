//! An image reference in a template, and the full name that runtimes give it.

/// An image reference by tag, with defaults filled in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagReference {
    /// `registry/repository:tag`.
    pub full: String,
    /// Whether the reference names its registry. Otherwise a runtime may be configured to search another one than
    /// docker.io.
    pub qualified: bool,
}

impl TagReference {
    /// Parses `image`; `None` if it names a digest, which never moves, or is not an image reference.
    #[must_use]
    pub fn parse(image: &str) -> Option<Self> {
        if image.is_empty() || image.contains(['@', '<']) {
            return None;
        }
        let (name, qualified) = full_repository(image);
        // A colon before the last slash belongs to the registry's port.
        let last = name.rsplit_once('/').map_or(name.as_str(), |(_, last)| last);
        let full = if last.contains(':') { name } else { format!("{name}:latest") };
        Some(Self { full, qualified })
    }

    /// Whether a reference without a registry means docker.io, judging by the repository of an `imageID`. A runtime
    /// with other search registries (CRI-O's short names) pulls from one of those.
    #[must_use]
    pub fn is_of(&self, repository: &str) -> bool {
        self.qualified
            || self
                .full
                .rsplit_once(':')
                .is_some_and(|(name, _)| !repository.is_empty() && full_repository(repository).0 == name)
    }
}

/// The name with its registry, and whether the reference named one.
fn full_repository(name: &str) -> (String, bool) {
    match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "docker.io" | "index.docker.io" => (of_docker_hub(rest), true),
            _ => (name.to_owned(), true),
        },
        _ => (of_docker_hub(name), false),
    }
}

fn of_docker_hub(name: &str) -> String {
    if name.contains('/') { format!("docker.io/{name}") } else { format!("docker.io/library/{name}") }
}

#[cfg(test)]
mod tests {
    use super::TagReference;

    #[test]
    fn defaults_of_a_reference_are_filled_in() {
        for (image, full, qualified) in [
            ("nginx", "docker.io/library/nginx:latest", false),
            ("nginx:1.27", "docker.io/library/nginx:1.27", false),
            ("team/web:1", "docker.io/team/web:1", false),
            ("docker.io/nginx", "docker.io/library/nginx:latest", true),
            ("index.docker.io/library/nginx:1", "docker.io/library/nginx:1", true),
            ("localhost/web:1", "localhost/web:1", true),
            ("localhost:5000/web", "localhost:5000/web:latest", true),
            ("registry.example/a/b:2", "registry.example/a/b:2", true),
        ] {
            assert_eq!(TagReference::parse(image), Some(TagReference { full: full.to_owned(), qualified }), "{image}");
        }
        for image in ["", "nginx@sha256:aa", "nginx:1@sha256:aa", "<none>:<none>"] {
            assert_eq!(TagReference::parse(image), None, "{image}");
        }
    }

    #[test]
    fn a_short_name_is_docker_hubs_only_where_the_image_came_from_there() {
        let short = TagReference::parse("nginx:1").unwrap();
        assert!(short.is_of("docker.io/library/nginx") && short.is_of("nginx"));
        assert!(!short.is_of("quay.io/library/nginx") && !short.is_of("docker.io/library/other") && !short.is_of(""));
        assert!(TagReference::parse("quay.io/nginx:1").unwrap().is_of("mirror.example/nginx"));
    }
}
