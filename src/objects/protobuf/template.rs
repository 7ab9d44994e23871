//! The digest of a pod template in protobuf.
//!
//! Bytes are taken as they are, but for the label with the hash and for quantities, which count by their value. So only the
//! ways to those are walked.

use super::{Fields, FromProtobuf, ProtobufError, Value, entry, read, text};
use crate::objects::pod;
use crate::objects::quantity::billionths;
use crate::objects::template::{HASH, POD_TEMPLATE_HASH, Template, TemplateDigest};
use std::hash::{BuildHasher as _, Hash, Hasher};

impl<'a> FromProtobuf<'a> for Template<'a> {
    fn merge(&mut self, value: Value<'a>) -> Result<(), ProtobufError> {
        let mut hasher = HASH.build_hasher();
        digest(Place::Template, value.fields()?, &mut hasher)?;
        self.digest = TemplateDigest::of_protobuf(hasher.finish());
        let mut fields = value.fields()?;
        while let Some((field, value)) = fields.next()? {
            match Place::Template.below(field) {
                Place::Metadata => {
                    let mut fields = value.fields()?;
                    while let Some((field, value)) = fields.next()? {
                        if Place::Metadata.below(field) == Place::Label {
                            let (key, label) = entry(value)?;
                            self.labels.push((text(key), text(label)));
                        }
                    }
                }
                Place::Spec => self.containers = read::<pod::Spec<'a>>(value)?.template_containers(),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A message on the way to the label or to a quantity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
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
    /// Whatever is here is taken as it is.
    Elsewhere,
}

impl Place {
    /// The numbers of fields in `generated.proto` of `k8s.io/api/core/v1`.
    fn below(self, field: u32) -> Self {
        match (self, field) {
            (Self::Template, 1) => Self::Metadata,
            (Self::Template, 2) => Self::Spec,
            (Self::Metadata, 11) => Self::Label,
            (Self::Spec, 1) => Self::Volume,
            (Self::Spec, 2 | 20) => Self::Container,
            (Self::Spec, 32) | (Self::ResourceRequirements, 1 | 2) => Self::QuantityEntry,
            (Self::Spec, 40) | (Self::Container, 8) | (Self::ClaimSpec, 2) => Self::ResourceRequirements,
            (Self::Container, 7) => Self::EnvVar,
            (Self::EnvVar, 3) => Self::EnvVarSource,
            (Self::EnvVarSource, 2) | (Self::DownwardApiFile, 3) => Self::ResourceFieldSelector,
            (Self::Volume, 2) => Self::VolumeSource,
            (Self::VolumeSource, 2) => Self::EmptyDir,
            (Self::VolumeSource, 16) | (Self::ProjectedSource, 2) => Self::DownwardApi,
            (Self::VolumeSource, 26) => Self::ProjectedVolume,
            (Self::VolumeSource, 29) => Self::Ephemeral,
            (Self::ProjectedVolume, 1) => Self::ProjectedSource,
            (Self::DownwardApi, 1) => Self::DownwardApiFile,
            (Self::Ephemeral, 1) => Self::ClaimTemplate,
            (Self::ClaimTemplate, 2) => Self::ClaimSpec,
            (Self::ResourceFieldSelector, 3) | (Self::EmptyDir | Self::QuantityEntry, 2) => Self::Quantity,
            _ => Self::Elsewhere,
        }
    }
}

fn digest(place: Place, mut fields: Fields<'_>, hasher: &mut impl Hasher) -> Result<(), ProtobufError> {
    // Each field of these by itself; below them, all at once that lie between two ways.
    let by_itself = matches!(place, Place::Template | Place::Metadata);
    loop {
        let (passed, found) = fields.pass_to(|field| by_itself || place.below(field) != Place::Elsewhere)?;
        if !passed.is_empty() {
            passed.hash(hasher);
        }
        let Some((field, value)) = found else { break };
        // Go writes these although they are empty, and not every version the same ones: Kubernetes 1.24 let go of
        // `clusterName`. Servers of two versions answer while a control plane is upgraded.
        if by_itself && value.is_empty() {
            continue;
        }
        let below = place.below(field);
        match below {
            Place::Label if entry(value)?.0 == POD_TEMPLATE_HASH.as_bytes() => {}
            Place::Label | Place::Elsewhere => (field, value).hash(hasher),
            Place::Quantity => {
                let written = quantity(value)?;
                match std::str::from_utf8(written).ok().and_then(billionths) {
                    Some(quantity) => (field, quantity).hash(hasher),
                    None => (field, written).hash(hasher),
                }
            }
            _ => {
                field.hash(hasher);
                digest(below, value.fields()?, hasher)?;
            }
        }
    }
    // No field has this number: a message ends here.
    0_u32.hash(hasher);
    Ok(())
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
