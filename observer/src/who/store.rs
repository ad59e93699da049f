//! The store of containers and images that Podman, Buildah and CRI-O share
//! (containers/storage): `<driver>-containers/containers.json`,
//! `<driver>-images/images.json`, and an image's configuration beside it.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::{files, text::Bounded};
use crate::{
    finding::{Container, tell},
    open::Folder,
};

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
    /// The list of containers that do not outlive their end, below the run directory.
    pub volatile: Option<Folder>,
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
        let names = image.as_ref().and_then(|image| image.names.clone());
        let names = names.unwrap_or_default();
        let told = metadata.name.some();
        let told = told.or_else(|| listed.names.first()?.some());
        let Container {
            name,
            image: reference,
            digest,
            origin,
            ..
        } = container;
        tell(name, told, origin, "name", FROM);
        let told = metadata.image_name.some();
        // Of an image that was given by its id: a tag that the id has.
        let told = told.filter(|name| !is_hexadecimal(name));
        let told = told.or_else(|| names.first()?.some());
        tell(reference, told, origin, "image", FROM);
        let Some(image) = image else {
            return BTreeMap::new();
        };
        let told = image.digest.as_ref().and_then(Bounded::some);
        let told = told.or_else(|| Some(format!("sha256:{}", image.id)));
        tell(digest, told, origin, "digest", FROM);
        let blob = format!("={}", STANDARD.encode(format!("sha256:{}", image.id)));
        let path = format!("{}-images/{}/{blob}", self.driver, image.id);
        let file: Option<ImageFile> = files::json(self.folder, &path, self.owner);
        let config = file.and_then(|file| file.config);
        config.and_then(|config| config.labels).unwrap_or_default()
    }

    /// Adds the image that a working container of buildah's, whose id begins so, was made
    /// from; whether there is one.
    pub fn describe_base(&self, id: &str, container: &mut Container) -> bool {
        let list = format!("{}-containers/containers.json", self.driver);
        let all: Option<Vec<Listed>> = files::json(self.folder, &list, self.owner);
        let mut all = all.into_iter().flatten();
        let Some(listed) = all.find(|listed| listed.id.starts_with(id)) else {
            return false;
        };
        let names = self.image(&listed.image).and_then(|image| image.names);
        let told = names.and_then(|names| names.first()?.some());
        let Container {
            name,
            image,
            origin,
            ..
        } = container;
        if let Some(working) = listed.names.first().and_then(Bounded::some) {
            *name = Some(working);
            origin.insert("name".to_owned(), FROM.to_owned());
        }
        tell(image, told, origin, "image", FROM);
        true
    }

    fn listed(&self, id: &str) -> Option<Listed> {
        let find = |folder: &Folder, list: &str| {
            let all: Vec<Listed> = files::json(folder, list, self.owner)?;
            all.into_iter().find(|listed| listed.id == id)
        };
        let list = format!("{}-containers/containers.json", self.driver);
        find(self.folder, &list)
            .or_else(|| find(self.volatile.as_ref()?, "volatile-containers.json"))
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

fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
