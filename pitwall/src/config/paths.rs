//! Relative paths are relative to the folder of the configuration file, wherever Pitwall is
//! started: under a service the working directory is `/`.

use std::path::{Path, PathBuf};

use pitwall_control_plane::{BrowserConfig, IcsPlace};

use super::Config;

impl Config {
    /// Makes each path of the configuration absolute, seen from `folder`.
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        let Self { edge, access, state, schedule, extract, webhooks, .. } = self;
        let mut paths = vec![&mut state.dir];
        paths.extend(access.key_file.as_mut());
        paths.extend(access.seal_key_file.as_mut());
        paths.extend(access.admin_token_file.as_mut());
        paths.extend(edge.tls.as_mut().into_iter().flat_map(|tls| [&mut tls.cert, &mut tls.key]));
        paths.extend(schedule.override_file.as_mut());
        if let Some(IcsPlace::File(path)) = &mut schedule.ics {
            paths.push(path);
        }
        paths.extend(webhooks.iter_mut().filter_map(|webhook| webhook.secret_file.as_mut()));
        let mut programs = vec![&mut extract.yt_dlp, &mut extract.streamlink];
        if let BrowserConfig::Executable { path, .. } = &mut extract.browser {
            programs.push(path);
        }
        // A name alone is looked up in PATH.
        let is_path = |program: &PathBuf| program.components().count() > 1;
        paths.extend(programs.into_iter().filter(|program| is_path(program)));
        for path in paths {
            // Without what says nothing, as in `./pitwall`: errors show it.
            *path = folder.join(&*path).components().collect();
        }
    }
}
