//! The process that tries the steps, one after the other, and reports.
//!
//! Nothing is tried outside the namespaces that it makes: where one can't be
//! had, what would act in it is left out.

use std::{
    fs,
    io::{self, Write as _},
    os::fd::AsRawFd as _,
    process::ExitCode,
};

use rustix::{
    process::{WaitOptions, getegid, geteuid, waitpid},
    thread::{
        CapabilitySet, UnshareFlags, capabilities, set_capabilities, set_no_new_privs,
        unshare_unsafe,
    },
};
use serde::{Deserialize, Serialize};

use crate::open;

use super::{
    super::{behaviour::As, child},
    order::{self, Step, Without},
};

/// `capwatch probe-steps`, which `capwatch probe` runs for each condition.
#[derive(Clone, Debug, clap::Args)]
pub struct StepsTrial {
    /// The program whose place it takes
    #[arg(long = "as", value_enum, default_value_t)]
    pub program: As,
    /// What to give up first
    #[arg(long, value_enum, default_value_t)]
    pub without: Without,
}

/// The process's report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its user.
    pub uid: u32,
    /// Its label at first.
    pub label: Option<String>,
    /// Its label in the new user namespace.
    pub label_after: Option<String>,
    /// Whether a seccomp filter is on.
    pub seccomp: bool,
    /// Whether SETFCAP was effective when the user namespace was made.
    pub setfcap: bool,
    /// Whether it is in a chroot.
    pub chroot: bool,
    /// Mounts below `/proc`, which hide parts of it.
    pub proc_mounts: u32,
    /// The steps.
    pub steps: Vec<Tried>,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Which.
    pub step: Step,
    /// Whether it was tried.
    #[expect(clippy::struct_field_names, reason = "the word of the JSON")]
    pub tried: bool,
    /// The errno, where it failed.
    pub errno: Option<i32>,
}

/// Runs it, and prints the result as JSON.
///
/// # Errors
/// When a capability cannot be dropped.
pub fn run(trial: &StepsTrial) -> anyhow::Result<ExitCode> {
    give_up(trial.without)?;
    let mut account = Account {
        uid: geteuid().as_raw(),
        label: child::label(),
        seccomp: child::seccomp(),
        setfcap: capabilities(None)?
            .effective
            .contains(CapabilitySet::SETFCAP),
        chroot: in_chroot(),
        proc_mounts: proc_mounts(&open::text("/proc/self/mountinfo").unwrap_or_default()),
        ..Account::default()
    };
    let ids = (account.uid, getegid().as_raw());
    let mut over = false;
    for step in order::steps(trial.program) {
        let base = order::rests_on(*step);
        let granted = base.is_none_or(|base| account.granted(base));
        let mut tried = Tried {
            step: *step,
            tried: !over && granted,
            errno: None,
        };
        if tried.tried {
            tried.errno = perform(*step, ids).err().as_ref().map(number);
            if *step == Step::UserNamespace {
                account.label_after = child::label();
            }
            over = tried.errno.is_some() && order::gives_up(trial.program);
        }
        account.steps.push(tried);
    }
    let mut out = io::stdout();
    serde_json::to_writer(&mut out, &account)?;
    out.write_all(b"\n")?;
    Ok(ExitCode::SUCCESS)
}

impl Account {
    fn granted(&self, step: Step) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|other| other.step == step && other.tried && other.errno.is_none())
    }
}

fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

fn give_up(without: Without) -> io::Result<()> {
    let capability = match without {
        Without::Nothing => return Ok(()),
        Without::NoNewPrivs => return Ok(set_no_new_privs(true)?),
        Without::Setpcap => CapabilitySet::SETPCAP,
        Without::Setfcap => CapabilitySet::SETFCAP,
    };
    let mut sets = capabilities(None)?;
    sets.effective.remove(capability);
    sets.permitted.remove(capability);
    sets.inheritable.remove(capability);
    Ok(set_capabilities(None, sets)?)
}

fn perform(step: Step, (uid, gid): (u32, u32)) -> io::Result<()> {
    match step {
        Step::UidMapZero => in_child(|| {
            enter(UnshareFlags::NEWUSER)?;
            open::write_kernel_file("/proc/self/uid_map", "0 0 1")
        }),
        Step::UserNamespace | Step::NestedNamespace => enter(UnshareFlags::NEWUSER),
        Step::Setgroups | Step::NestedSetgroups => {
            open::write_kernel_file("/proc/self/setgroups", "deny")
        }
        Step::UidMap | Step::NestedUidMap => {
            open::write_kernel_file("/proc/self/uid_map", &format!("{uid} {uid} 1"))
        }
        Step::GidMap => open::write_kernel_file("/proc/self/gid_map", &format!("{gid} {gid} 1")),
        Step::NetworkNamespace => enter(UnshareFlags::NEWNET),
        Step::LoopbackAddress => loopback_address(),
        Step::LoopbackLink => loopback_link(),
        Step::Tun => tun(),
        Step::MountNamespace => enter(UnshareFlags::NEWNS),
        Step::SlaveMount => mount(None, c"/", None, libc::MS_SLAVE | libc::MS_REC),
        // Not over `/`: below a mount over its root a process counts as chrooted
        // (`current_chrooted`, fs/namespace.c, 6.12), and gets no user namespace.
        Step::BindMount => mount(Some(c"/dev"), c"/dev", None, libc::MS_BIND | libc::MS_REC),
        Step::ProcMount => {
            enter(UnshareFlags::NEWPID)?;
            let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
            // In a mount namespace of the child's own: later steps need the old proc.
            in_child(|| {
                enter(UnshareFlags::NEWNS)?;
                mount(Some(c"proc"), c"/proc", Some(c"proc"), flags)
            })
        }
    }
}

fn enter(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: no descriptor or memory is shared with another thread: there is none.
    Ok(unsafe { unshare_unsafe(flags) }?)
}

/// Does it in a child, whose exit code is the errno.
fn in_child(action: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    // SAFETY: this process has one thread, so its child may do anything.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        let code = action().err().as_ref().map_or(0, number);
        // SAFETY: ends the child without what its parent wants done at exit.
        unsafe { libc::_exit(code) };
    }
    let waited = waitpid(rustix::process::Pid::from_raw(pid), WaitOptions::empty())?;
    match waited.and_then(|(_, status)| status.exit_status()) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code)),
        // A filter may end it with a signal.
        None => Err(io::Error::from_raw_os_error(libc::EPERM)),
    }
}

fn mount(
    source: Option<&std::ffi::CStr>,
    target: &std::ffi::CStr,
    kind: Option<&std::ffi::CStr>,
    flags: libc::c_ulong,
) -> io::Result<()> {
    let pointer =
        |text: Option<&std::ffi::CStr>| text.map_or(std::ptr::null(), std::ffi::CStr::as_ptr);
    // SAFETY: every string ends with a null and outlives the call.
    let result = unsafe {
        libc::mount(
            pointer(source),
            target.as_ptr(),
            pointer(kind),
            flags,
            std::ptr::null(),
        )
    };
    answer(result)
}

fn answer(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// `ifreq` with flags: a name, and a short in the union (`include/uapi/linux/if.h`).
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: libc::c_short,
    rest: [u8; 22],
}

impl Request {
    fn new(name: &[u8], flags: libc::c_short) -> Self {
        let mut request = Self {
            name: [0; 16],
            flags,
            rest: [0; 22],
        };
        for (to, from) in request.name.iter_mut().zip(name) {
            *to = *from;
        }
        request
    }
}

fn loopback_link() -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let up = libc::c_short::try_from(libc::IFF_UP).unwrap_or(1);
    let request = Request::new(b"lo", up);
    // SAFETY: the request is as long as the kernel's `ifreq`, and outlives the call.
    answer(unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    })
}

fn tun() -> io::Result<()> {
    /// `TUNSETIFF` (`include/uapi/linux/if_tun.h`).
    const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
    /// `IFF_TUN | IFF_NO_PI`.
    const FLAGS: libc::c_short = 0x1001;
    let device = open::device("/dev/net/tun")?;
    let request = Request::new(b"cwprobe", FLAGS);
    // SAFETY: the request is as long as the kernel's `ifreq`, and outlives the call.
    answer(unsafe { libc::ioctl(device.as_raw_fd(), TUNSETIFF, &raw const request) })
}

/// 127.0.0.1/8 on the loopback, as bubblewrap asks for it.
fn loopback_address() -> io::Result<()> {
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
    };

    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // NETLINK_ROUTE is protocol 0.
        None,
    )?;
    send(&socket, &address_message(), SendFlags::empty())?;
    let mut reply = [0; 512];
    let (bytes, _) = recv(&socket, &mut reply, RecvFlags::empty())?;
    // `nlmsgerr`: the error follows the header of 16 bytes.
    let error = reply
        .get(..bytes)
        .and_then(|reply| reply.get(16..20))
        .and_then(|error| error.try_into().ok())
        .map_or(-libc::EIO, i32::from_ne_bytes);
    match -error {
        // The kernel may have given it at once with the link.
        0 | libc::EEXIST => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// `RTM_NEWADDR` (`include/uapi/linux/rtnetlink.h`, `if_addr.h`).
fn address_message() -> Vec<u8> {
    const NEWADDR: u16 = 20;
    const REQUEST_ACK_CREATE_EXCLUSIVE: u16 = 0x1 | 0x4 | 0x200 | 0x400;
    const LOOPBACK_INDEX: u32 = 1;
    let mut message = Vec::with_capacity(40);
    message.extend(40_u32.to_ne_bytes());
    message.extend(NEWADDR.to_ne_bytes());
    message.extend(REQUEST_ACK_CREATE_EXCLUSIVE.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    // AF_INET, /8, IFA_F_PERMANENT, RT_SCOPE_HOST.
    message.extend([2, 8, 0x80, 254]);
    message.extend(LOOPBACK_INDEX.to_ne_bytes());
    // IFA_LOCAL and IFA_ADDRESS, eight bytes each.
    for kind in [2_u16, 1] {
        message.extend(8_u16.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend([127, 0, 0, 1]);
    }
    message
}

/// Whether the root is another than that of the first process. Not known where
/// that one may not be looked at; the kernel's own `current_chrooted` compares
/// with the mount namespace's root instead.
fn in_chroot() -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let id = |path: &str| {
        let data = fs::metadata(path).ok()?;
        Some((data.dev(), data.ino()))
    };
    let same_namespace =
        fs::read_link("/proc/1/ns/mnt").ok() == fs::read_link("/proc/self/ns/mnt").ok();
    match (id("/"), id("/proc/1/root/")) {
        (Some(own), Some(first)) => same_namespace && own != first,
        _ => false,
    }
}

/// Mounts below `/proc`.
fn proc_mounts(mountinfo: &str) -> u32 {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    let below = points.filter(|point| point.starts_with("/proc/"));
    // What binfmt_misc is mounted on is an empty directory: the kernel looks past it.
    let hiding = below.filter(|point| *point != "/proc/sys/fs/binfmt_misc");
    u32::try_from(hiding.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_as_long_as_it_says() {
        let message = address_message();
        assert_eq!(message.len(), 40);
        assert_eq!(size_of::<Request>(), 40);
    }

    #[test]
    fn what_hides_proc_is_counted() {
        let info = "1 0 0:1 / /proc rw - proc p rw\n2 1 0:2 / /proc/kcore ro - tmpfs t rw\n\
                    3 1 0:2 / /proc/sys/fs/binfmt_misc rw - autofs a rw\n";
        assert_eq!(proc_mounts(info), 1);
    }
}
