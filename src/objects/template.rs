//! Pod templates: a digest of the whole template, and the few fields that are reported.
//!
//! A Deployment's current ReplicaSet is the one with an equal template, apart from the hash label (the controller's
//! `FindNewReplicaSet`, `pkg/controller/deployment/util/deployment_util.go`). The hash cannot be recomputed outside of
//! Go, so podskew compares templates by a 64-bit digest, computed while reading. The template itself is not kept.
//!
//! In JSON the digest is of a canonical form. In protobuf it is of the bytes: Go writes equal values as equal bytes,
//! and maps sorted by key. In both, quantities count by value: for the controller's `DeepEqual`, `1Gi` equals
//! `1073741824`, and rewriting one as the other changes no pod.

use super::labels::Labels;
use super::lenient::{FromJson, Key, Lenient};
use super::quantity::billionths;
use crate::kinds::POD_TEMPLATE_HASH;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, Hasher};
use std::num::NonZeroU64;
use std::sync::LazyLock;

/// The kept part of a pod template.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Template<'a> {
    /// Digest of the template; `None` if there is none.
    pub digest: Option<TemplateDigest>,
    /// The template's labels.
    pub labels: Labels<'a>,
    /// Its containers, and the init containers that run for the pod's whole life.
    pub containers: Vec<TemplateContainer<'a>>,
}

/// Digest of a template without its hash label.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TemplateDigest(NonZeroU64);

impl TemplateDigest {
    /// The lowest bit is the encoding of the template.
    const IN_PROTOBUF: u64 = 1;

    fn of_json(digest: u64) -> Option<Self> {
        // Every existing template has a digest; only ABSENT means none.
        let digest = if digest == ABSENT { 0 } else { (digest & !Self::IN_PROTOBUF).max(2) };
        NonZeroU64::new(digest).map(Self)
    }

    pub(super) fn of_protobuf(digest: u64) -> Option<Self> {
        NonZeroU64::new(digest | Self::IN_PROTOBUF).map(Self)
    }

    /// Whether both are the same template; `None` if one was in JSON and the other in protobuf, which cannot be
    /// compared.
    #[must_use]
    pub fn equals(self, other: Self) -> Option<bool> {
        let comparable = (self.0.get() ^ other.0.get()) & Self::IN_PROTOBUF == 0;
        comparable.then_some(self == other)
    }
}

/// A container in a template or in a pod's spec.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TemplateContainer<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// The image in the spec.
    pub image: Cow<'a, str>,
    /// `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: Cow<'a, str>,
    /// Whether it is an init container.
    pub init: bool,
    /// Whether it has `restartPolicy: Always`; such an init container runs for the pod's whole life.
    pub restarts: bool,
}

impl TemplateContainer<'_> {
    /// Whether it runs for the pod's whole life: a plain init container runs once and does not count.
    #[must_use]
    pub fn stays(&self) -> bool {
        !self.init || self.restarts
    }
}

impl<'de> FromJson<'de> for Template<'de> {
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        let mut template = Template::default();
        let digest = ValueReader { path: ValuePath::Template, template: &mut template }.visit_map(map)?;
        template.digest = TemplateDigest::of_json(digest);
        template.containers.retain(TemplateContainer::stays);
        Ok(Some(template))
    }
}

/// Digest of values that count as absent: null and the empty array (for the controller's `DeepEqual` an empty slice
/// equals a nil one).
const ABSENT: u64 = 0;

/// The position of a value in the template.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValuePath {
    Template,
    Metadata,
    Labels,
    Annotations,
    Spec,
    Containers {
        init: bool,
    },
    Container {
        init: bool,
    },
    Name,
    Image,
    PullPolicy,
    RestartPolicy,
    /// `resources` of a container, of a pod, of a claim.
    Resources,
    EmptyDir,
    ResourceFieldRef,
    /// A map of quantities.
    Quantities,
    Quantity,
    Elsewhere,
}

impl ValuePath {
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Template, "metadata") => Self::Metadata,
            (Self::Template, "spec") => Self::Spec,
            (Self::Metadata, "labels") => Self::Labels,
            (Self::Metadata, "annotations") => Self::Annotations,
            (Self::Spec, "containers") => Self::Containers { init: false },
            (Self::Spec, "initContainers") => Self::Containers { init: true },
            (Self::Container { .. }, "name") => Self::Name,
            (Self::Container { .. }, "image") => Self::Image,
            (Self::Container { .. }, "imagePullPolicy") => Self::PullPolicy,
            (Self::Container { .. }, "restartPolicy") => Self::RestartPolicy,
            // Maps with free keys: their values are text.
            (Self::Labels | Self::Annotations, _) => Self::Elsewhere,
            (_, "resources") => Self::Resources,
            (_, "emptyDir") => Self::EmptyDir,
            (_, "resourceFieldRef") => Self::ResourceFieldRef,
            (Self::Spec, "overhead") | (Self::Resources, "limits" | "requests") => Self::Quantities,
            (Self::Quantities, _) | (Self::EmptyDir, "sizeLimit") | (Self::ResourceFieldRef, "divisor") => {
                Self::Quantity
            }
            _ => Self::Elsewhere,
        }
    }
}

/// Reads one value: returns its digest, and keeps the fields to report.
struct ValueReader<'t, 'de> {
    path: ValuePath,
    template: &'t mut Template<'de>,
}

impl<'de> ValueReader<'_, 'de> {
    fn text(self, text: Cow<'de, str>) -> u64 {
        let quantity = if self.path == ValuePath::Quantity { billionths(&text) } else { None };
        let digest = match quantity {
            Some(quantity) => digest_of(&(b'q', quantity)),
            None => digest_of(&(b's', text.as_ref())),
        };
        if let Some(container) = self.template.containers.last_mut() {
            match self.path {
                ValuePath::Name => container.name = text,
                ValuePath::Image => container.image = text,
                ValuePath::PullPolicy => container.pull_policy = text,
                ValuePath::RestartPolicy => container.restarts = text == "Always",
                _ => {}
            }
        }
        digest
    }
}

/// Digests are compared only within a process, so a fast hash with a random seed suffices.
pub(super) static HASH: LazyLock<hashbrown::DefaultHashBuilder> = LazyLock::new(hashbrown::DefaultHashBuilder::default);

fn digest_of(value: &impl Hash) -> u64 {
    // ABSENT is taken.
    HASH.hash_one(value).max(1)
}

impl<'de> DeserializeSeed<'de> for ValueReader<'_, 'de> {
    type Value = u64;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueReader<'_, 'de> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<u64, E> {
        Ok(self.text(Cow::Borrowed(text)))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        Ok(self.text(Cow::Owned(text.to_owned())))
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<u64, E> {
        Ok(digest_of(&(b'b', value)))
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
        Ok(digest_of(&(b'i', number)))
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        // Positive numbers come here and negative ones above: both kinds of integer need the same hash.
        Ok(digest_of(&(b'i', number.cast_signed())))
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<u64, E> {
        Ok(digest_of(&(b'f', number.to_bits())))
    }
    fn visit_unit<E: Error>(self) -> Result<u64, E> {
        Ok(ABSENT)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<u64, A::Error> {
        let mut hasher = HASH.build_hasher();
        let mut items = 0_usize;
        loop {
            let path = match self.path {
                ValuePath::Containers { init } => ValuePath::Container { init },
                _ => ValuePath::Elsewhere,
            };
            let Some(digest) = seq.next_element_seed(ValueReader { path, template: self.template })? else {
                break;
            };
            digest.hash(&mut hasher);
            items += 1;
        }
        Ok(if items == 0 { ABSENT } else { hasher.finish().max(1) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        if let ValuePath::Container { init } = self.path {
            self.template.containers.push(TemplateContainer { init, ..TemplateContainer::default() });
        }
        // A sum, because the order of keys is irrelevant.
        let mut sum = 0_u64;
        let mut entries = 0_usize;
        while let Some(Key(key)) = map.next_key()? {
            // A ControllerRevision stores its template as a patch.
            if self.path == ValuePath::Template && key == "$patch" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let digest = if self.path == ValuePath::Labels {
                let Lenient(value) = map.next_value::<Lenient<Cow<'de, str>>>()?;
                // The label distinguishes ReplicaSets and is not compared.
                let digest = if key == POD_TEMPLATE_HASH { ABSENT } else { digest_of(&(b's', value.as_ref())) };
                self.template.labels.push_text(key.clone(), value);
                digest
            } else {
                let path = self.path.below(&key);
                map.next_value_seed(ValueReader { path, template: self.template })?
            };
            if digest != ABSENT {
                sum = sum.wrapping_add(digest_of(&(key.as_ref(), digest)));
                entries += 1;
            }
        }
        // Labels and annotations are Go maps, where empty equals nil. Elsewhere `{}` is a pointer to an empty struct
        // (`emptyDir: {}`), which is not nil.
        let may_be_absent = matches!(self.path, ValuePath::Labels | ValuePath::Annotations);
        Ok(if entries == 0 && may_be_absent { ABSENT } else { digest_of(&(b'm', sum)) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Lenient, Template};

    fn read(json: &str) -> Template<'_> {
        let Lenient(template) = serde_json::from_str(json).expect("valid JSON");
        template
    }
    fn same(a: &str, b: &str) {
        assert_eq!(read(a).digest, read(b).digest, "\n{a}\n{b}");
    }
    fn differ(a: &str, b: &str) {
        assert_ne!(read(a).digest, read(b).digest, "\n{a}\n{b}");
    }

    #[test]
    fn equal_as_the_deployment_controller_sees_it() {
        same(
            r#"{"metadata":{"labels":{"app":"x","pod-template-hash":"123"}},"spec":{"a":1}}"#,
            r#"{"spec":{"a":1},"metadata":{"creationTimestamp":null,"labels":{"app":"x"}}}"#,
        );
        same(r#"{"metadata":{"labels":{"pod-template-hash":"1"}}}"#, r#"{"metadata":{}}"#);
        same(r#"{"spec":{"volumes":[]}}"#, r#"{"spec":{}}"#);
        same(r#"{"spec":{"a":-1,"b":2.5}}"#, r#"{"spec":{"b":2.5,"a":-1}}"#);
        for (quantity, in_bytes) in [
            (r#"{"spec":{"containers":[{"resources":{"limits":{"memory":"@"}}}]}}"#, true),
            (r#"{"spec":{"initContainers":[{"resources":{"requests":{"memory":"@"}}}]}}"#, true),
            (r#"{"spec":{"resources":{"limits":{"memory":"@"}},"overhead":{"memory":"1Gi"}}}"#, true),
            (r#"{"spec":{"overhead":{"memory":"@"}}}"#, true),
            (r#"{"spec":{"volumes":[{"emptyDir":{"sizeLimit":"@"}}]}}"#, true),
            (
                r#"{"spec":{"volumes":[{"ephemeral":{"volumeClaimTemplate":{"spec":{"resources":{"requests":{"storage":"@"}}}}}}]}}"#,
                true,
            ),
            (r#"{"spec":{"containers":[{"env":[{"valueFrom":{"resourceFieldRef":{"divisor":"@"}}}]}]}}"#, true),
            (r#"{"spec":{"containers":[{"env":[{"name":"LIMIT","value":"@"}]}]}}"#, false),
            (
                r#"{"spec":{"volumes":[{"csi":{"volumeAttributes":{"sizeLimit":"@"}}}],"nodeSelector":{"divisor":"1"}}}"#,
                false,
            ),
            (r#"{"metadata":{"annotations":{"resources":"@"},"labels":{"limits":"1"}}}"#, false),
        ] {
            let (a, b) = (quantity.replace('@', "1Gi"), quantity.replace('@', "1073741824"));
            if in_bytes {
                same(&a, &b);
            } else {
                differ(&a, &b);
            }
            differ(&a, &quantity.replace('@', "2Gi"));
        }
    }

    #[test]
    fn different_as_the_deployment_controller_sees_it() {
        differ(r#"{"metadata":{"labels":{"app":"x"}}}"#, r#"{"metadata":{"labels":{"app":"y"}}}"#);
        differ(r#"{"spec":{"v":[{"emptyDir":{}}]}}"#, r#"{"spec":{"v":[{}]}}"#);
        differ(r#"{"spec":{"c":[1,2]}}"#, r#"{"spec":{"c":[2,1]}}"#);
        differ(r#"{"spec":{"c":"1"}}"#, r#"{"spec":{"c":1}}"#);
        differ(r#"{"spec":{"c":true}}"#, r#"{"spec":{"c":false}}"#);
        differ(r#"{"spec":{"a":{"b":1}}}"#, r#"{"spec":{"a":{"c":1}}}"#);
        differ(r#"{"spec":{"a":1},"metadata":{}}"#, r#"{"spec":{},"metadata":{"a":1}}"#);
    }

    #[test]
    fn keeps_lasting_containers_and_no_environment() {
        let template = read(
            r#"{"metadata":{"labels":{"version":"v2"}},"spec":{"restartPolicy":"Always",
                "initContainers":[{"name":"migrate","image":"m:1"},{"name":"proxy","image":"p:1","restartPolicy":"Always"}],
                "containers":[{"env":[{"name":"TOKEN","value":"s3cret"}],"name":"app","image":"a:1","imagePullPolicy":"Always"}]}}"#,
        );
        let names: Vec<_> = template.containers.iter().map(|c| (c.name.as_ref(), c.image.as_ref())).collect();
        assert_eq!(names, [("proxy", "p:1"), ("app", "a:1")]);
        assert_eq!(template.containers[1].pull_policy, "Always");
        assert_eq!(template.labels, [("version", "v2")].into_iter().collect());
        assert!(!format!("{template:?}").contains("s3cret"));
    }

    #[test]
    fn a_missing_template_has_no_digest() {
        let Lenient(template): Lenient<Template<'_>> = serde_json::from_str("null").expect("valid JSON");
        assert_eq!(template.digest, None);
    }
}
