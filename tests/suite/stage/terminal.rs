//! A terminal that somebody sits at: what he sees on the screen, and the keys that he presses.

use std::fs::File;
use std::future::ready;
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::binary::binary;
use super::wait::until;

/// See the module's head. The program in it is killed when it is dropped.
pub struct Terminal {
    child: Child,
    /// Our end, and the program's.
    ours: File,
    line: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    /// Has `stead` carry out a verb in a terminal of so many columns and rows.
    pub fn open(words: &[&str], columns: u16, rows: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("it is ours");
        let name = ptsname(&ours, Vec::new()).expect("its name");
        let line = open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its end");
        let (ours, line) = (File::from(ours), File::from(line));
        let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(rows), cells(columns), 0)));
        set_size(&ours, columns, rows);
        let end = || line.try_clone().expect("one more handle");
        let child = Command::new(binary())
            .args(words)
            .env_clear()
            .env("TERM", "xterm-256color")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("stead starts");
        let (mut said, shown) = (ours.try_clone().expect("one more handle"), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            // It ends with an error when nobody has the other end any more.
            while let Ok(read @ 1..) = said.read(&mut part) {
                lock(&shown).process(&part[..read]);
            }
        });
        Self { child, ours, line, screen }
    }

    /// Presses keys, as the terminal sends them.
    pub fn press(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).expect("somebody listens");
    }

    /// Makes the window larger or smaller.
    pub fn resize(&self, columns: u16, rows: u16) {
        lock(&self.screen).screen_mut().set_size(cells(rows), cells(columns));
        set_size(&self.ours, columns, rows);
        // A shell would have made it the terminal's own, which is told by the kernel.
        let told = Command::new("kill").args(["-WINCH", &self.child.id().to_string()]).status();
        assert!(told.expect("`kill` runs").success());
    }

    /// What stands on the screen.
    pub fn screen(&self) -> String {
        lock(&self.screen).screen().contents()
    }

    /// Waits until the screen is like this.
    pub async fn shows(&self, what: &str, fits: impl Fn(&str) -> bool) {
        let look = || ready(fits(&self.screen()).then_some(()));
        until(&format!("the screen shows {what}"), look).await;
    }

    /// Waits until the program has ended. The terminal must be as it was before.
    pub async fn ended(mut self) -> ExitStatus {
        let ended = until("the program ends", || ready(self.child.try_wait().expect("a child")));
        let status = ended.await;
        let back = || {
            let shown = lock(&self.screen);
            let screen = shown.screen();
            (!screen.alternate_screen() && !screen.hide_cursor()).then_some(())
        };
        until("what stood on the screen before is back", || ready(back())).await;
        let modes = tcgetattr(&self.line).expect("its modes").local_modes;
        let usual = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        assert!(modes.contains(usual), "keys are not taken as usual: {modes:?}");
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // An error is a process that has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).expect("a window has cells")
}

fn set_size(terminal: &File, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("a size");
}

fn lock(screen: &Mutex<vt100::Parser>) -> MutexGuard<'_, vt100::Parser> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}
