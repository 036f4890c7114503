"""What devices say in numbers and names of the RFCs, in words: why a session ended, why a command was refused."""

from __future__ import annotations

from collections.abc import Mapping

from saas.i18n import N_

# RFC 2866 section 5.10.
TERMINATE_CAUSES: Mapping[str, str] = {
    "User-Request": N_("The subscriber hung up"),
    "Lost-Carrier": N_("The line was lost"),
    "Lost-Service": N_("The service went away"),
    "Idle-Timeout": N_("Idle for too long"),
    "Session-Timeout": N_("Session time used up"),
    "Admin-Reset": N_("Forced off"),
    "Admin-Reboot": N_("The device was restarted by hand"),
    "Port-Error": N_("Error on the port"),
    "NAS-Error": N_("Error in the device"),
    "NAS-Request": N_("Ended by the device"),
    "NAS-Reboot": N_("The device restarted"),
    "Port-Unneeded": N_("Port no longer needed"),
    "Port-Preempted": N_("Port taken by a more important session"),
    "Port-Suspended": N_("Port suspended"),
    "Service-Unavailable": N_("Service not available"),
    "Callback": N_("Hung up to call back"),
    "User-Error": N_("Error at the subscriber's side"),
    "Host-Request": N_("Ended by the host"),
}
# RFC 5176 section 3.5: what the device says when it does not do what it is asked.
ERROR_CAUSES: Mapping[int, str] = {
    201: N_("The device had the rest of a session left, and has removed it."),
    202: N_("The device calls the packet invalid."),
    401: N_("The device does not understand one of the attributes."),
    402: N_("The device misses an attribute that it needs to find the session."),
    403: N_("The device says that it is not the one meant: its identifier or address differs."),
    404: N_("The device calls the request invalid."),
    405: N_("The device does not offer this service."),
    406: N_("The device does not support this kind of request."),
    407: N_("The device does not accept the value of an attribute."),
    501: N_("The device's settings forbid this."),
    502: N_("A proxy between here and the device does not know the way."),
    503: N_("The device knows no such session: it has ended there already, so it is taken off the online list."),
    504: N_("The device cannot end this session."),
    505: N_("A proxy between here and the device failed."),
    506: N_("The device has no resources left for this."),
    507: N_("The device has started to log the subscriber out."),
    508: N_("Several sessions fit, and the device takes only one at a time."),
}
_TYPE = N_("Set the device type to what the device really is: it decides which attributes are sent.")
_PROXY = N_("Look at the proxy that stands between here and the device.")
_INSTEAD = N_("Look for newer software of the device; for a new speed, force the session off instead.")
# What to do about it; nothing where nothing helps or needs to be done.
ERROR_ADVICE: Mapping[int, str] = {
    202: _TYPE,
    401: _TYPE,
    402: N_("Set the device type to what the device really is, and let it report address and port in its accounting."),
    403: N_("Let the device send the identifier that is registered here, and let its CoA port lead to no other one."),
    404: _TYPE,
    405: _INSTEAD,
    406: _INSTEAD,
    407: N_("Try a speed that the device can give; of types with two units, choose the other one."),
    501: N_("Allow dynamic authorization (CoA) from this engine in the device's settings."),
    502: _PROXY,
    504: N_("End it on the device itself."),
    505: _PROXY,
    506: N_("Try again in a moment."),
    508: N_("End them on the device itself, one by one."),
}
