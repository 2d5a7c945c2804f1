//! Resolution of relative paths: they are relative to the folder of the configuration file and not
//! to the working directory, which is `/` under a service manager.

use std::path::{Path, PathBuf};

use pitwall_control_plane::{BrowserConfig, IcsLocation};

use super::Config;

impl Config {
    /// Makes each path of the configuration absolute, relative to `folder`.
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        let Self { edge, access, state, schedule, extract, webhooks, .. } = self;
        let mut paths = vec![&mut state.dir];
        paths.extend(access.key_file.as_mut());
        paths.extend(access.seal_key_file.as_mut());
        paths.extend(access.admin_token_file.as_mut());
        paths.extend(edge.tls.as_mut().into_iter().flat_map(|tls| [&mut tls.cert, &mut tls.key]));
        paths.extend(edge.cache.disk.as_mut().map(|disk| &mut disk.dir));
        paths.extend(schedule.override_file.as_mut());
        if let Some(IcsLocation::File(path)) = &mut schedule.ics {
            paths.push(path);
        }
        paths.extend(webhooks.iter_mut().filter_map(|webhook| webhook.secret_file.as_mut()));
        let mut programs = vec![&mut extract.yt_dlp, &mut extract.streamlink];
        if let BrowserConfig::Executable { path, .. } = &mut extract.browser {
            programs.push(path);
        }
        // A program's name without a folder stays, as it is looked up in PATH.
        let is_path = |program: &PathBuf| program.components().count() > 1;
        paths.extend(programs.into_iter().filter(|program| is_path(program)));
        for path in paths {
            // Collecting the components drops `.`, as in `./pitwall`, for shorter error messages.
            *path = folder.join(&*path).components().collect();
        }
    }
}
