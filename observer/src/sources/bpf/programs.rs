//! The programs of an object, and those that an agent before left pinned.
//!
//! aya takes a pinned tracing program with the kernel's types, which it asks for by
//! their number; that takes `CAP_SYS_ADMIN` (`bpf_btf_get_fd_by_id`,
//! `kernel/bpf/syscall.c`, 6.12), and an agent has no use for them. So these are kept
//! as descriptors alone, and attached and pinned by the calls themselves.

use std::{
    collections::HashMap,
    ffi::CString,
    io,
    ops::{Deref, DerefMut},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use aya::Ebpf;

/// Commands of bpf(2) (`include/uapi/linux/bpf.h`).
const OBJ_PIN: libc::c_int = 6;
const OBJ_GET: libc::c_int = 7;
const RAW_TRACEPOINT_OPEN: libc::c_int = 17;

/// An object, and the programs that stand for its own.
pub struct Programs {
    ebpf: Ebpf,
    adopted: HashMap<String, OwnedFd>,
}

impl From<Ebpf> for Programs {
    fn from(ebpf: Ebpf) -> Self {
        Self {
            ebpf,
            adopted: HashMap::new(),
        }
    }
}

impl Deref for Programs {
    type Target = Ebpf;

    fn deref(&self) -> &Ebpf {
        &self.ebpf
    }
}

impl DerefMut for Programs {
    fn deref_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }
}

impl Programs {
    /// Has a pinned program stand for the object's of this name.
    ///
    /// # Errors
    /// The system call's own.
    pub fn adopt(&mut self, name: &str, place: &Path) -> io::Result<()> {
        self.adopted.insert(name.to_owned(), get(place)?);
        Ok(())
    }

    /// A program that an agent before left.
    pub fn adopted(&self, name: &str) -> Option<BorrowedFd<'_>> {
        self.adopted.get(name).map(AsFd::as_fd)
    }

    /// A program that is loaded.
    pub fn loaded(&self, name: &str) -> Option<BorrowedFd<'_>> {
        let own = || Some(self.ebpf.program(name)?.fd().ok()?.as_fd());
        self.adopted(name).or_else(own)
    }

    /// All that are loaded, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        let names = self.ebpf.programs().map(|(name, _)| name);
        names.filter_map(|name| Some((name, self.loaded(name)?)))
    }
}

/// What is pinned at a place.
///
/// # Errors
/// The system call's own.
pub fn get(place: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(place.as_os_str().as_bytes())?;
    let mut attr = Object {
        path: path.as_ptr() as u64,
        fd: 0,
        flags: 0,
    };
    let fd = call(OBJ_GET, &mut attr)?;
    // SAFETY: the kernel just gave it to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Pins an object.
///
/// # Errors
/// The system call's own.
pub fn pin(object: BorrowedFd<'_>, place: &Path) -> io::Result<()> {
    let path = CString::new(place.as_os_str().as_bytes())?;
    let mut attr = Object {
        path: path.as_ptr() as u64,
        fd: object.as_raw_fd().unsigned_abs(),
        flags: 0,
    };
    call(OBJ_PIN, &mut attr).map(drop)
}

/// Attaches a tracing program, which knows where; the link ends with its descriptor.
///
/// # Errors
/// The system call's own.
pub fn attach(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = Tracepoint {
        name: 0,
        program: program.as_raw_fd().unsigned_abs(),
        padding: 0,
    };
    let fd = call(RAW_TRACEPOINT_OPEN, &mut attr)?;
    // SAFETY: the kernel just gave it to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[repr(C)]
struct Object {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
struct Tracepoint {
    name: u64,
    program: u32,
    padding: u32,
}

fn call<T>(command: libc::c_int, attr: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: `attr` is the command's own structure, which the kernel reads while the
    // call lasts; what it points to lives as long.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            size_of::<T>(),
        )
    };
    let failed = |_| io::Error::other("the kernel answers with no descriptor");
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => libc::c_int::try_from(result).map_err(failed),
    }
}
