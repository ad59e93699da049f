//! The store of containers and images that Podman, Buildah and CRI-O share
//! (containers/storage): `containers.json` and `volatile-containers.json` in
//! `<driver>-containers`, `<driver>-images/images.json`, and an image's configuration
//! beside it.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::{files, text::Bounded};
use crate::{
    finding::{Container, fill_from},
    open::Folder,
};

/// The list of containers that do not outlive their end.
const VOLATILE: &str = "volatile-containers.json";
/// What fields that come from here are said to come from.
const FROM: &str = "storage";

#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    image: String,
    /// JSON within JSON.
    #[serde(default)]
    metadata: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    #[serde(default)]
    image_name: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Image {
    id: String,
    digest: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
}

impl Image {
    fn name(&self) -> Option<String> {
        first(self.names.as_ref()?)
    }
}

#[derive(Deserialize)]
struct ImageFile {
    config: Option<ImageConfig>,
}

#[derive(Deserialize)]
struct ImageConfig {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

/// Where a container stands in a store.
pub struct Store<'a> {
    /// `…/storage`
    pub folder: &'a Folder,
    /// `overlay`, `vfs` and so on: the beginning of the folders' names.
    pub driver: &'a str,
    /// The containers' folder below the run directory, which has their list in a transient
    /// store.
    pub run: Option<Folder>,
    /// Whose it is.
    pub owner: u32,
}

impl Store<'_> {
    /// Adds what the store says of a container; gives its image's labels.
    pub fn describe(&self, container: &mut Container) -> BTreeMap<String, String> {
        let Some(listed) = self.listed(&container.id) else {
            return BTreeMap::new();
        };
        let metadata: Metadata = serde_json::from_str(&listed.metadata).unwrap_or_default();
        let image = self.image(&listed.image);
        let found = metadata.name.some().or_else(|| first(&listed.names));
        let Container {
            name,
            image: reference,
            digest,
            origin,
            ..
        } = container;
        fill_from(name, found, origin, "name", FROM);
        let found = metadata.image_name.some();
        // Of an image that was given by its id: a tag that the id has.
        let found = found.filter(|name| !is_hexadecimal(name));
        let found = found.or_else(|| image.as_ref()?.name());
        fill_from(reference, found, origin, "image", FROM);
        let Some(image) = image else {
            return BTreeMap::new();
        };
        let found = image.digest.as_ref().and_then(Bounded::some);
        let found = found.or_else(|| Some(format!("sha256:{}", image.id)));
        fill_from(digest, found, origin, "digest", FROM);
        let blob = format!("={}", STANDARD.encode(format!("sha256:{}", image.id)));
        let path = format!("{}-images/{}/{blob}", self.driver, image.id);
        let file: Option<ImageFile> = files::json(self.folder, &path, self.owner);
        let config = file.and_then(|file| file.config);
        config.and_then(|config| config.labels).unwrap_or_default()
    }

    /// Adds the image that a working container of buildah's, whose id begins so, was made
    /// from; whether there is one.
    pub fn describe_base(&self, id: &str, container: &mut Container) -> bool {
        let Some(listed) = self.stored(|listed| listed.id.starts_with(id)) else {
            return false;
        };
        let found = self.image(&listed.image).and_then(|image| image.name());
        let Container {
            name,
            image,
            origin,
            ..
        } = container;
        if let Some(working) = first(&listed.names) {
            *name = Some(working);
            origin.insert("name".to_owned(), FROM.to_owned());
        }
        fill_from(image, found, origin, "image", FROM);
        true
    }

    fn listed(&self, id: &str) -> Option<Listed> {
        let is_it = |listed: &Listed| listed.id == id;
        let transient = || self.find(self.run.as_ref()?, VOLATILE, is_it);
        self.stored(is_it).or_else(transient)
    }

    /// A container of the store's own lists: those that outlive their end, and those that
    /// do not (`podman run --rm` of 5.4).
    fn stored(&self, is_it: impl Fn(&Listed) -> bool) -> Option<Listed> {
        ["containers.json", VOLATILE].into_iter().find_map(|list| {
            let list = format!("{}-containers/{list}", self.driver);
            self.find(self.folder, &list, &is_it)
        })
    }

    fn find(&self, folder: &Folder, list: &str, is_it: impl Fn(&Listed) -> bool) -> Option<Listed> {
        let all: Vec<Listed> = files::json(folder, list, self.owner)?;
        all.into_iter().find(is_it)
    }

    fn image(&self, id: &str) -> Option<Image> {
        // An id is a folder's name below.
        if !is_hexadecimal(id) {
            return None;
        }
        let list = format!("{}-images/images.json", self.driver);
        let all: Vec<Image> = files::json(self.folder, &list, self.owner)?;
        all.into_iter().find(|image| image.id == id)
    }
}

fn first(names: &[String]) -> Option<String> {
    names.first()?.some()
}

fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
