//! The desktop of a Linux guest: an X server that speaks VNC, and noVNC as its door for browsers. Both
//! listen on loopback; what stands before them is the agent, and Coder's login. A page in a browser on the
//! machine reaches loopback, too: so noVNC's door asks where a page is from.

/// The unit files, by name.
pub(super) const UNITS: [(&str, &str); 2] =
    [("stead-desktop.service", DESKTOP_UNIT), ("stead-novnc.service", NOVNC_UNIT)];

/// It waits for the home as the agent does, and has the same environment. `x-session-manager` is the
/// desktop that the image has chosen; when it ends, the server does, and both begin anew.
const DESKTOP_UNIT: &str = "\
[Unit]
Description=The desktop
RequiresMountsFor=/home/coder
After=coder-agent.service
StartLimitIntervalSec=0

[Service]
User=coder
EnvironmentFile=/etc/coder-agent/env
ExecStartPre=+/usr/local/sbin/stead-verify-home quietly
ExecStart=/bin/sh -c 'cd && exec /usr/bin/xinit /usr/bin/dbus-run-session /usr/bin/x-session-manager \
-- /usr/bin/Xtigervnc :1 -localhost -SecurityTypes None -rfbport 5901 -AlwaysShared'
Restart=always
RestartSec=2
";

/// What the door goes by, and where it lies.
pub(super) const DOOR: (&str, &str) =
    ("/usr/local/lib/stead/stead_door.py", include_str!("door.py"));

const NOVNC_UNIT: &str = "\
[Unit]
Description=The desktop, for browsers
After=stead-desktop.service
StartLimitIntervalSec=0

[Service]
DynamicUser=yes
Environment=PYTHONPATH=/usr/local/lib/stead PYTHONDONTWRITEBYTECODE=1
ExecStart=/usr/bin/websockify --web=/usr/share/novnc --auth-plugin=stead_door.OwnPagesAlone \
--auth-source=6080 127.0.0.1:6080 127.0.0.1:5901
Restart=always
RestartSec=2
";
