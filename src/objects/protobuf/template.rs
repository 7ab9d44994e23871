//! Digest of a pod template in protobuf.
//!
//! Bytes are hashed as they are, except for the hash label and for quantities, which count by value. So only the
//! messages that lead to those are parsed.

use super::{FieldSet, Fields, FromProtobuf, Message as _, ProtobufError, Value, entry};
use crate::kinds::POD_TEMPLATE_HASH;
use crate::objects::pod;
use crate::objects::quantity::billionths;
use crate::objects::template::{HASH, Template, TemplateDigest};
use std::hash::{BuildHasher as _, Hash, Hasher};

impl<'a> FromProtobuf<'a> for Template<'a> {
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError> {
        let mut walk = Walk { hasher: HASH.build_hasher(), template: self, spec: pod::Spec::default() };
        walk.message(MessageKind::Template, value.fields()?)?;
        let (digest, spec) = (walk.hasher.finish(), walk.spec);
        self.digest = TemplateDigest::of_protobuf(digest);
        self.containers = spec.template_containers();
        Ok(())
    }
}

/// A message on the path to the hash label or to a quantity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum MessageKind {
    Template,
    Metadata,
    Label,
    Spec,
    Container,
    EnvVar,
    EnvVarSource,
    ResourceFieldSelector,
    ResourceRequirements,
    Volume,
    VolumeSource,
    EmptyDir,
    Ephemeral,
    ClaimTemplate,
    ClaimSpec,
    ProjectedSource,
    ProjectedVolume,
    DownwardApi,
    DownwardApiFile,
    /// An entry of a map of quantities.
    QuantityEntry,
    Quantity,
    /// Anything else, which is hashed as it is.
    Elsewhere,
}

/// The fields of a message that lead to other messages of interest.
struct Descent {
    places: &'static [(u32, MessageKind)],
    /// Their numbers.
    fields: FieldSet,
    /// Whether each field is hashed separately, and not all fields between two of interest at once.
    each: bool,
}

impl Descent {
    const fn new(places: &'static [(u32, MessageKind)]) -> Self {
        let (mut fields, mut at) = (FieldSet::NONE, 0);
        while at < places.len() {
            fields = fields.with(places[at].0);
            at += 1;
        }
        Self { places, fields, each: false }
    }

    const fn of_each(places: &'static [(u32, MessageKind)]) -> Self {
        Self { places, fields: FieldSet::ALL, each: true }
    }
}

impl MessageKind {
    /// The numbers in `generated.proto` of `k8s.io/api/core/v1`.
    fn ways(self) -> &'static Descent {
        match self {
            Self::Template => const { &Descent::of_each(&[(1, Self::Metadata), (2, Self::Spec)]) },
            Self::Metadata => const { &Descent::of_each(&[(11, Self::Label)]) },
            Self::Spec => {
                const {
                    &Descent::new(&[
                        (1, Self::Volume),
                        (2, Self::Container),
                        (20, Self::Container),
                        (32, Self::QuantityEntry),
                        (40, Self::ResourceRequirements),
                    ])
                }
            }
            Self::Container => const { &Descent::new(&[(7, Self::EnvVar), (8, Self::ResourceRequirements)]) },
            Self::EnvVar => const { &Descent::new(&[(3, Self::EnvVarSource)]) },
            Self::EnvVarSource => const { &Descent::new(&[(2, Self::ResourceFieldSelector)]) },
            Self::ResourceFieldSelector => const { &Descent::new(&[(3, Self::Quantity)]) },
            Self::ResourceRequirements => {
                const { &Descent::new(&[(1, Self::QuantityEntry), (2, Self::QuantityEntry)]) }
            }
            Self::Volume => const { &Descent::new(&[(2, Self::VolumeSource)]) },
            Self::VolumeSource => {
                const {
                    &Descent::new(&[
                        (2, Self::EmptyDir),
                        (16, Self::DownwardApi),
                        (26, Self::ProjectedVolume),
                        (29, Self::Ephemeral),
                    ])
                }
            }
            Self::EmptyDir | Self::QuantityEntry => const { &Descent::new(&[(2, Self::Quantity)]) },
            Self::Ephemeral => const { &Descent::new(&[(1, Self::ClaimTemplate)]) },
            Self::ClaimTemplate => const { &Descent::new(&[(2, Self::ClaimSpec)]) },
            Self::ClaimSpec => const { &Descent::new(&[(2, Self::ResourceRequirements)]) },
            Self::ProjectedVolume => const { &Descent::new(&[(1, Self::ProjectedSource)]) },
            Self::ProjectedSource => const { &Descent::new(&[(2, Self::DownwardApi)]) },
            Self::DownwardApi => const { &Descent::new(&[(1, Self::DownwardApiFile)]) },
            Self::DownwardApiFile => const { &Descent::new(&[(3, Self::ResourceFieldSelector)]) },
            Self::Label | Self::Quantity | Self::Elsewhere => const { &Descent::new(&[]) },
        }
    }
}

/// One pass over a template, which computes its digest and reads its fields.
struct Walk<'a, 't, H> {
    hasher: H,
    template: &'t mut Template<'a>,
    spec: pod::Spec<'a>,
}

impl<'a, H: Hasher> Walk<'a, '_, H> {
    fn message(&mut self, kind: MessageKind, mut fields: Fields<'a>) -> Result<(), ProtobufError> {
        let ways = kind.ways();
        loop {
            let (passed, found) = fields.pass_to(ways.fields)?;
            if !passed.is_empty() {
                passed.hash(&mut self.hasher);
            }
            let Some((field, value)) = found else { break };
            // Go writes these although they are empty, and versions differ: Kubernetes 1.24 dropped `clusterName`.
            // During an upgrade of the control plane servers of two versions respond.
            if ways.each && value.is_empty() {
                continue;
            }
            let below = ways.places.iter().find(|(number, _)| *number == field);
            self.field(below.map_or(MessageKind::Elsewhere, |(_, kind)| *kind), field, value)?;
        }
        // Marks the end of a message: no field has this number.
        0_u32.hash(&mut self.hasher);
        Ok(())
    }

    fn field(&mut self, kind: MessageKind, field: u32, value: Value<'a>) -> Result<(), ProtobufError> {
        match kind {
            MessageKind::Elsewhere => (field, value).hash(&mut self.hasher),
            MessageKind::Label => {
                let (key, label) = entry(value)?;
                self.template.labels.push(key, label);
                if key != POD_TEMPLATE_HASH.as_bytes() {
                    (field, value).hash(&mut self.hasher);
                }
            }
            MessageKind::Quantity => {
                let written = quantity(value)?;
                match std::str::from_utf8(written).ok().and_then(billionths) {
                    Some(quantity) => (field, quantity).hash(&mut self.hasher),
                    None => (field, written).hash(&mut self.hasher),
                }
            }
            _ => {
                if kind == MessageKind::Container {
                    self.spec.field(field, value)?;
                }
                field.hash(&mut self.hasher);
                self.message(kind, value.fields()?)?;
            }
        }
        Ok(())
    }
}

/// A `Quantity` is a message with a string.
fn quantity(value: Value<'_>) -> Result<&[u8], ProtobufError> {
    let mut text: &[u8] = b"";
    let mut fields = value.fields()?;
    while let Some((field, value)) = fields.next()? {
        if field == 1 {
            text = value.bytes()?;
        }
    }
    Ok(text)
}
