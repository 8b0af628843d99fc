"""A real Nagios is told of downtimes by its file of external commands."""

from __future__ import annotations

import pytest

from tests.integration.catalog.conftest import Host

_CONFIG = """log_file=/srv/nagios/log
cfg_file=/srv/nagios/objects.cfg
status_file=/srv/nagios/status
state_retention_file=/srv/nagios/retention
object_cache_file=/srv/nagios/cache
temp_path=/srv/nagios
check_result_path=/srv/nagios
lock_file=/srv/nagios/lock
command_file=/srv/nagios/commands
query_socket=/srv/nagios/query
check_external_commands=1
log_external_commands=1
nagios_user=nagios
nagios_group=nagios
"""
_OBJECTS = """define command {{\n command_name fine\n command_line /bin/true\n }}
define timeperiod {{\n timeperiod_name always\n alias always\n }}
define contact {{\n contact_name ann\n host_notification_commands fine\n service_notification_commands fine
 host_notification_period always\n service_notification_period always\n }}
define host {{\n host_name web1\n address 127.0.0.1\n check_command fine\n max_check_attempts 1\n check_period always
 contacts ann\n notification_period always\n }}
{services}
"""
_SERVICE = """define service {{\n host_name web1\n service_description {name}\n check_command fine\n max_check_attempts 1
 check_period always\n contacts ann\n notification_period always\n }}
"""


@pytest.mark.usefixtures("nagios")
def test_downtimes_are_scheduled(web1: Host) -> None:
    about = {"service_host": "web1", "command_file": "/srv/nagios/commands"}
    away = web1.act("nagios:ScheduleDowntime", about, fails=True)
    assert "no file of external commands (a pipe) is here at /srv/nagios/commands" in str(away.message)
    objects = _OBJECTS.format(services="".join(_SERVICE.format(name=name) for name in ("http", "disk")))
    web1.act("file:Directory", {"path": "/srv/nagios", "owner": "nagios:nagios"})
    web1.act("file:Copy", {"path": "/srv/nagios/nagios.cfg", "content": _CONFIG})
    web1.act("file:Copy", {"path": "/srv/nagios/objects.cfg", "content": objects})
    web1.sh("setsid nagios4 -d /srv/nagios/nagios.cfg")
    try:
        web1.act("wait:ForFile", {"path": "/srv/nagios/commands", "timeout": 20})
        assert web1.act("nagios:ScheduleDowntime", {**about, "minutes": 15, "service": ["http", "disk"]}).data == {
            "changed": True
        }
        web1.act("nagios:ScheduleDowntime", {**about, "service": "ALL", "comment": "it's a $release"})
        for words in (
            "web1;http;",
            "web1;disk;",
            "SCHEDULE_HOST_SVC_DOWNTIME;web1;",
            "HOST DOWNTIME ALERT: web1;STARTED",
        ):
            web1.act("wait:ForFile", {"path": "/srv/nagios/log", "contains": words, "timeout": 20})
        log = web1.sh("cat /srv/nagios/log")
        assert ";1;0;900;release-engine;release test" in log
        assert ";1;0;1800;release-engine;it's a $release" in log
        web1.act("nagios:Acknowledge", {**about, "service": "http"})
        web1.act("wait:ForFile", {"path": "/srv/nagios/log", "contains": "ACKNOWLEDGE_SVC_PROBLEM;web1;http;1;1;1;"})
    finally:
        web1.sh("kill $(cat /srv/nagios/lock)")
    assert web1.foresee("nagios:ScheduleDowntime", about).will == "yes"
    other = web1.act("nagios:ScheduleDowntime", {"nagios_url": "nagios.example.com"}, fails=True)
    assert "give it `hosts: [nagios.example.com]`, and the host that it is about in `service_host: " in str(
        other.message
    )
    assert "without `;`" in str(web1.act("nagios:ScheduleDowntime", {**about, "service": "a;b"}, fails=True).message)
