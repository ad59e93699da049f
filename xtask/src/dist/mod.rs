//! `cargo xtask dist`: what a release has, for each architecture: a Debian package, an
//! RPM, a tarball, an OCI image and a list of what is inside; and checksums of all.
//!
//! Two runs on one commit give the same bytes, wherever the checkout lies: paths are
//! replaced in what the compiler writes, and every time is the commit's.

mod archive;
mod binary;
mod image;
mod pages;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};

use crate::tools::Tool;
use crate::vm::Arch;
use crate::{apt, cache, cmd};

const CARGO_DEB: Tool = Tool {
    name: "cargo-deb",
    version: "3.8.0",
};
const CARGO_RPM: Tool = Tool {
    name: "cargo-generate-rpm",
    version: "0.21.1",
};
const CARGO_CYCLONEDX: Tool = Tool {
    name: "cargo-cyclonedx",
    version: "0.5.9",
};

/// Make the packages: deb, rpm, tarball, image, SBOM, checksums
#[derive(clap::Args)]
pub struct Args {
    /// Only for this processor
    #[arg(long, value_enum)]
    arch: Option<Arch>,
    /// Make everything a second time, in another directory, and compare
    #[arg(long)]
    check: bool,
    /// Only this machine's Debian package, of what `cargo build --release` made
    #[arg(long, conflicts_with_all = ["arch", "check"])]
    quick: bool,
}

/// What a release is called, and when it was made.
pub struct Release {
    /// The workspace's version.
    pub version: String,
    /// The commit, with `-dirty` where the tree has changes.
    pub commit: String,
    /// The commit's time, in seconds since 1970.
    pub epoch: String,
}

/// Where a run puts things.
pub struct Places {
    /// Cargo's target directory.
    pub target: PathBuf,
    /// The packages.
    pub out: PathBuf,
}

/// Runs the task.
pub fn main(args: &Args) -> Result<ExitCode> {
    let release = Release::read()?;
    let arches = args
        .arch
        .map_or(vec![Arch::X86_64, Arch::Arm64], |arch| vec![arch]);
    if args.quick {
        println!("{}", quick(&release)?.display());
        return Ok(ExitCode::SUCCESS);
    }
    let root = cmd::target_dir().join("dist");
    let first = Places {
        target: root.join("build"),
        out: root.join("out"),
    };
    make(&release, &arches, &first)?;
    for file in files(&first.out)? {
        let size = fs::metadata(first.out.join(&file))?.len();
        println!("{:>9} {}", size, first.out.join(&file).display());
    }
    if args.check {
        let second = Places {
            target: root.join("again/build"),
            out: root.join("again/out"),
        };
        cache::remove(&second.target)?;
        make(&release, &arches, &second)?;
        compare(&first.out, &second.out)?;
        println!("both runs gave the same bytes");
    }
    Ok(ExitCode::SUCCESS)
}

impl Release {
    fn read() -> Result<Self> {
        let git = |args: &[&str]| {
            let mut command = Command::new("git");
            cmd::stdout(command.args(args).current_dir(cmd::workspace()))
        };
        let mut commit = git(&["rev-parse", "--short=12", "HEAD"])?.trim().to_owned();
        if !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() {
            commit.push_str("-dirty");
        }
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit,
            epoch: git(&["log", "-1", "--format=%ct"])?.trim().to_owned(),
        })
    }
}

/// The packages for a virtual machine; returns their directory.
pub fn for_guests(arch: Arch) -> Result<PathBuf> {
    let root = cmd::target_dir().join("dist");
    let places = Places {
        target: root.join("build"),
        out: root.join("guest"),
    };
    make(&Release::read()?, &[arch], &places)?;
    Ok(places.out)
}

/// The Debian package of the program that is there.
fn quick(release: &Release) -> Result<PathBuf> {
    apt::ensure(&["dpkg-dev", "binutils"])?;
    let root = cmd::target_dir().join("dist/quick");
    let places = Places {
        target: root.join("build"),
        out: root.join("out"),
    };
    let arch = Arch::X86_64;
    let directory = places.target.join(arch.target()).join("release");
    cache::remove(&places.out)?;
    fs::create_dir_all(&places.out)?;
    fs::create_dir_all(&directory)?;
    let program = directory.join("capwatch");
    let built = cmd::target_dir().join("release/capwatch");
    let mut strip = Command::new("strip");
    cmd::run(strip.arg("-o").arg(&program).arg(&built))?;
    let pages = pages::write(release, &program, &places.target.join("pages"))?;
    stage(arch, &pages, &places)?;
    deb(release, arch, &places)
}

fn make(release: &Release, arches: &[Arch], places: &Places) -> Result<()> {
    apt::ensure(&["dpkg-dev", "binutils"])?;
    cache::remove(&places.out)?;
    fs::create_dir_all(&places.out)?;
    // The pages are the program's own words, and this machine runs its own kind only.
    let native = binary::build(release, Arch::X86_64, &places.target)?;
    let pages = pages::write(release, &native.linked, &places.target.join("pages"))?;
    for &arch in arches {
        let binaries = match arch {
            Arch::X86_64 => native.clone(),
            Arch::Arm64 => binary::build(release, arch, &places.target)?,
        };
        package(release, arch, &pages, &binaries, places)?;
    }
    sbom(release, places)?;
    let mut sums = Command::new("sha256sum");
    sums.arg("--").args(files(&places.out)?);
    let sums = cmd::stdout(sums.current_dir(&places.out))?;
    fs::write(places.out.join("SHA256SUMS"), sums)?;
    Ok(())
}

fn package(
    release: &Release,
    arch: Arch,
    pages: &Path,
    binaries: &binary::Binaries,
    places: &Places,
) -> Result<()> {
    let Release { version, epoch, .. } = release;
    let out = &places.out;
    let word = processor(arch);
    stage(arch, pages, places)?;
    deb(release, arch, places)?;

    let rpm = format!("capwatch-{version}-1.{word}.rpm");
    let mut command = Command::new(CARGO_RPM.install()?);
    command
        .args([
            "generate-rpm",
            "--package",
            "observer",
            "--target",
            arch.target(),
        ])
        .args(["--source-date", epoch, "--payload-compress", "gzip"])
        .arg("--target-dir")
        .arg(&places.target)
        .arg("--output")
        .arg(out.join(rpm));
    run_tool(&mut command, release, places)?;

    let name = format!("capwatch-{version}-{word}-linux");
    let tree = places.target.join("tree").join(&name);
    archive::tarball_tree(&tree, pages, &binaries.fixed)?;
    archive::tar_gz(&tree, &out.join(format!("{name}.tar.gz")), epoch)?;

    let image = out.join(format!("capwatch-{version}-{word}-image.tar"));
    image::write(
        release,
        arch,
        &binaries.fixed,
        &places.target.join("image"),
        &image,
    )
}

/// Puts the pages where both tools look for what `target/release/` in the manifest means:
/// in the directory of the target.
fn stage(arch: Arch, pages: &Path, places: &Places) -> Result<()> {
    let staged = places.target.join(arch.target()).join("release/pages");
    cache::remove(&staged)?;
    archive::copy_tree(pages, &staged)
}

fn deb(release: &Release, arch: Arch, places: &Places) -> Result<PathBuf> {
    let name = format!("capwatch_{}_{}.deb", release.version, arch.debian());
    let file = places.out.join(name);
    let mut command = Command::new(CARGO_DEB.install()?);
    command
        .args([
            "deb",
            "--package",
            "observer",
            "--no-build",
            "--no-strip",
            "--locked",
        ])
        .args(["--target", arch.target(), "--output"])
        .arg(&file);
    run_tool(&mut command, release, places)?;
    Ok(file)
}

/// The crates that are linked in, by `CycloneDX`.
fn sbom(release: &Release, places: &Places) -> Result<()> {
    let name = format!("capwatch-{}.cdx", release.version);
    // It writes beside each manifest, so it gets a copy of these.
    let copy = places.target.join("sbom");
    cache::remove(&copy)?;
    fs::create_dir_all(&copy)?;
    let mut tracked = Command::new("git");
    tracked.args(["ls-files", "-z", "--", "*Cargo.toml", "Cargo.lock", "*.rs"]);
    let tracked = cmd::stdout(tracked.current_dir(cmd::workspace()))?;
    for file in tracked.split('\0').filter(|file| !file.is_empty()) {
        let to = copy.join(file);
        fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        fs::copy(cmd::workspace().join(file), to)?;
    }
    let mut command = Command::new(CARGO_CYCLONEDX.install()?);
    command
        .args([
            "cyclonedx",
            "--format",
            "json",
            "--spec-version",
            "1.5",
            "--all",
        ])
        .args([
            "--target",
            Arch::X86_64.target(),
            "--override-filename",
            &name,
        ])
        .arg("--manifest-path")
        .arg(copy.join("observer/Cargo.toml"))
        .current_dir(&copy);
    for (variable, value) in release.variables() {
        command.env(variable, value);
    }
    cmd::run_quietly(&mut command)?;
    let file = format!("{name}.json");
    let text = fs::read_to_string(copy.join("observer").join(&file))?;
    // A crate of the workspace is named by the directory of the copy.
    let text = text.replace(&copy.display().to_string(), "/capwatch");
    fs::write(places.out.join(&file), text)?;
    Ok(())
}

impl Release {
    fn variables(&self) -> [(&'static str, &str); 2] {
        [
            ("SOURCE_DATE_EPOCH", &self.epoch),
            ("CAPWATCH_COMMIT", &self.commit),
        ]
    }
}

fn run_tool(command: &mut Command, release: &Release, places: &Places) -> Result<()> {
    command
        .current_dir(cmd::workspace())
        .env("CARGO_TARGET_DIR", &places.target);
    for (variable, value) in release.variables() {
        command.env(variable, value);
    }
    cmd::run_quietly(command)
}

/// The processor as RPM, the kernel and images' users call it.
const fn processor(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64",
        Arch::Arm64 => "aarch64",
    }
}

fn files(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn compare(first: &Path, second: &Path) -> Result<()> {
    let names = files(first)?;
    ensure!(names == files(second)?, "the two runs gave different files");
    let mut differing = Vec::new();
    for name in names {
        if fs::read(first.join(&name))? != fs::read(second.join(&name))? {
            differing.push(name);
        }
    }
    if !differing.is_empty() {
        bail!(
            "these differ from one run to the next: {}",
            differing.join(", ")
        );
    }
    Ok(())
}
