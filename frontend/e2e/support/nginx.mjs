// Debian's nginx in the foreground, without root privileges.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { startProcess } from './process.mjs';

/** `http` is the content of the `http` block; temporary files and the log are in `folder` and on stderr. */
export function startNginx(t, folder, http) {
	const config = path.join(folder, 'nginx.conf');
	writeFileSync(
		config,
		`daemon off; master_process off; pid ${folder}/pid; error_log stderr warn;
		events {}
		http {
			client_body_temp_path ${folder}/t1; proxy_temp_path ${folder}/t2; fastcgi_temp_path ${folder}/t3;
			uwsgi_temp_path ${folder}/t4; scgi_temp_path ${folder}/t5;
			${http}
		}`,
	);
	const server = startProcess('/usr/sbin/nginx', ['-p', folder, '-c', config, '-e', 'stderr']);
	t.after(() => server.stop());
	return server;
}
