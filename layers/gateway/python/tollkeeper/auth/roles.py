"""Who may call which management route: one table, and what a role reaches.

    proxy_admin            everything, everywhere: the master key, a management key, a user with that role
    proxy_admin_viewer     reads, everywhere
    org_admin              what belongs to an organization whose member with that role the caller is
    team_admin             what belongs to a team whose admin the caller is
    team_member            reads the team; for its keys, the routes that its `team_member_permissions` name
    internal_user          what is the caller's own and no team's (reading: also what is a team's)
    internal_user_viewer   as internal_user, reading only
    anyone                 any good key, about itself

A row names the roles that may call the route *on what they reach*; proxy_admin may always. Whether a target is reached is decided in
admin/actor.py, and which fields a smaller role may set in admin/selfservice.py. https://docs.litellm.ai/docs/proxy/access_control
"""

from collections.abc import Mapping

PROXY_ADMIN = "proxy_admin"
VIEWER = "proxy_admin_viewer"
ORG_ADMIN = "org_admin"
TEAM_ADMIN = "team_admin"
TEAM_MEMBER = "team_member"
INTERNAL_USER = "internal_user"
INTERNAL_USER_VIEWER = "internal_user_viewer"
ANYONE = "anyone"
USER_ROLES = (PROXY_ADMIN, VIEWER, INTERNAL_USER, INTERNAL_USER_VIEWER)
"""What a user's `user_role` may be; the other roles follow from memberships."""

Route = tuple[str, str]
"""HTTP method and path template."""

_NOBODY: frozenset[str] = frozenset()
_WATCH = frozenset({VIEWER})
_ANYONE = frozenset({ANYONE})
_HOLDERS = frozenset({ORG_ADMIN, TEAM_ADMIN, TEAM_MEMBER, INTERNAL_USER})
_SHARED = frozenset({ORG_ADMIN, TEAM_ADMIN, TEAM_MEMBER})
_LEADERS = frozenset({ORG_ADMIN, TEAM_ADMIN})
_ORG = frozenset({ORG_ADMIN})
_READERS = frozenset({VIEWER, ORG_ADMIN, TEAM_ADMIN, TEAM_MEMBER, INTERNAL_USER, INTERNAL_USER_VIEWER})
_OWN = frozenset({VIEWER, ORG_ADMIN, INTERNAL_USER, INTERNAL_USER_VIEWER})
_SELF = _OWN - _ORG
_SPENDERS = _OWN | {TEAM_ADMIN} | _ANYONE
_OVERSEERS = frozenset({VIEWER, ORG_ADMIN, TEAM_ADMIN})

ROUTES: Mapping[Route, frozenset[str]] = {
    ("POST", "/key/generate"): _HOLDERS,
    ("POST", "/key/service-account/generate"): _SHARED,
    ("POST", "/key/update"): _HOLDERS,
    ("POST", "/key/bulk_update"): _LEADERS,
    ("POST", "/key/delete"): _HOLDERS,
    ("POST", "/key/regenerate"): _HOLDERS,
    ("POST", "/key/{key}/regenerate"): _HOLDERS,
    ("POST", "/key/{key}/reset_spend"): _LEADERS,
    ("POST", "/key/block"): _LEADERS,
    ("POST", "/key/unblock"): _LEADERS,
    ("GET", "/key/info"): _READERS | _ANYONE,
    ("POST", "/v2/key/info"): _READERS | _ANYONE,
    ("GET", "/key/list"): _READERS,
    ("GET", "/key/aliases"): _READERS,
    ("POST", "/key/health"): _ANYONE,
    ("POST", "/team/new"): _ORG,
    ("POST", "/team/update"): _LEADERS,
    ("PATCH", "/team/{team_id}"): _LEADERS,
    ("POST", "/team/delete"): _ORG,
    ("POST", "/team/block"): _ORG,
    ("POST", "/team/unblock"): _ORG,
    ("POST", "/team/member_add"): _LEADERS,
    ("POST", "/team/bulk_member_add"): _LEADERS,
    ("POST", "/team/member_update"): _LEADERS,
    ("POST", "/team/member_delete"): _LEADERS,
    ("POST", "/team/{team_id}/member/{user_id}/reset_spend"): _LEADERS,
    ("POST", "/team/{team_id}/member/{user_id}/reset_budget"): _LEADERS,
    ("POST", "/team/key/bulk_update"): _LEADERS,
    ("POST", "/team/model/add"): _ORG,
    ("POST", "/team/model/delete"): _ORG,
    ("GET", "/team/permissions_list"): _READERS,
    ("POST", "/team/permissions_update"): _LEADERS,
    ("GET", "/team/info"): _READERS,
    ("GET", "/team/list"): _READERS,
    ("GET", "/team/available"): _ANYONE,
    ("GET", "/v2/team/list"): _READERS,
    ("POST", "/user/new"): _NOBODY,
    ("POST", "/user/update"): frozenset({INTERNAL_USER}),
    ("POST", "/user/bulk_update"): _NOBODY,
    ("POST", "/user/delete"): _NOBODY,
    ("GET", "/user/info"): _OWN,
    ("GET", "/v2/user/info"): _OWN,
    ("GET", "/user/list"): _WATCH | _ORG,
    ("GET", "/user/available_roles"): _ANYONE,
    ("POST", "/organization/new"): _NOBODY,
    ("PATCH", "/organization/update"): _ORG,
    ("DELETE", "/organization/delete"): _NOBODY,
    ("GET", "/organization/info"): _OWN,
    ("GET", "/organization/list"): _OWN,
    ("POST", "/organization/member_add"): _ORG,
    ("PATCH", "/organization/member_update"): _ORG,
    ("DELETE", "/organization/member_delete"): _ORG,
    ("POST", "/customer/new"): _NOBODY,
    ("POST", "/customer/update"): _NOBODY,
    ("POST", "/customer/delete"): _NOBODY,
    ("POST", "/customer/block"): _NOBODY,
    ("POST", "/customer/unblock"): _NOBODY,
    ("GET", "/customer/info"): _WATCH,
    ("GET", "/customer/list"): _WATCH,
    ("POST", "/budget/new"): _NOBODY,
    ("POST", "/budget/update"): _NOBODY,
    ("POST", "/budget/delete"): _NOBODY,
    ("POST", "/budget/info"): _WATCH,
    ("GET", "/budget/settings"): _WATCH,
    ("GET", "/budget/list"): _WATCH,
    ("POST", "/project/new"): _LEADERS,
    ("POST", "/project/update"): _LEADERS,
    ("DELETE", "/project/delete"): _LEADERS,
    ("GET", "/project/info"): _READERS,
    ("GET", "/project/list"): _READERS,
    ("POST", "/tag/new"): _NOBODY,
    ("POST", "/tag/update"): _NOBODY,
    ("POST", "/tag/delete"): _NOBODY,
    ("POST", "/tag/info"): _WATCH,
    ("GET", "/tag/list"): _WATCH,
    ("POST", "/access_group/new"): _NOBODY,
    ("GET", "/access_group/list"): _WATCH,
    ("GET", "/access_group/{access_group}/info"): _WATCH,
    ("PUT", "/access_group/{access_group}/update"): _NOBODY,
    ("DELETE", "/access_group/{access_group}/delete"): _NOBODY,
    ("POST", "/model/new"): _NOBODY,
    ("POST", "/model/update"): _NOBODY,
    ("PATCH", "/model/{model_id}/update"): _NOBODY,
    ("POST", "/model/delete"): _NOBODY,
    ("POST", "/model/block"): _NOBODY,
    ("POST", "/model/unblock"): _NOBODY,
    ("GET", "/model/info"): _ANYONE,
    ("GET", "/v1/model/info"): _ANYONE,
    ("GET", "/v2/model/info"): _ANYONE,
    ("GET", "/model_group/info"): _ANYONE,
    ("POST", "/credentials"): _NOBODY,
    ("GET", "/credentials"): _WATCH,
    ("GET", "/credentials/by_name/{credential_name}"): _WATCH,
    ("GET", "/credentials/by_model/{model_id}"): _WATCH,
    ("PATCH", "/credentials/{credential_name}"): _NOBODY,
    ("DELETE", "/credentials/{credential_name}"): _NOBODY,
    ("POST", "/fallback"): _NOBODY,
    ("GET", "/fallback/{model}"): _WATCH,
    ("DELETE", "/fallback/{model}"): _NOBODY,
    ("GET", "/metrics"): _WATCH,
    ("GET", "/spend/logs"): _SPENDERS,
    ("GET", "/spend/logs/v2"): _SPENDERS,
    ("GET", "/spend/logs/ui"): _SPENDERS,
    ("GET", "/spend/logs/ui/{request_id}"): _SPENDERS,
    ("GET", "/spend/keys"): _WATCH,
    ("GET", "/spend/users"): _WATCH,
    ("GET", "/spend/tags"): _WATCH,
    ("POST", "/spend/calculate"): _ANYONE,
    ("POST", "/cost/estimate"): _ANYONE,
    ("GET", "/global/spend"): _WATCH,
    ("GET", "/global/spend/logs"): _SELF,
    ("GET", "/global/spend/keys"): _SELF,
    ("GET", "/global/spend/models"): _SELF,
    ("GET", "/global/spend/provider"): _SELF,
    ("GET", "/global/spend/teams"): _WATCH,
    ("GET", "/global/spend/tags"): _WATCH,
    ("GET", "/global/spend/all_tag_names"): _WATCH,
    ("GET", "/global/spend/report"): _WATCH,
    ("POST", "/global/spend/end_users"): _WATCH,
    ("POST", "/global/spend/refresh"): _WATCH,
    ("POST", "/global/spend/reset"): _NOBODY,
    ("GET", "/global/all_end_users"): _WATCH,
    ("GET", "/global/activity"): _SELF,
    ("GET", "/global/activity/model"): _SELF,
    ("GET", "/global/activity/exceptions"): _WATCH,
    ("GET", "/global/activity/exceptions/deployment"): _WATCH,
    ("GET", "/global/activity/cache_hits"): _WATCH,
    ("GET", "/user/daily/activity"): _SPENDERS,
    ("GET", "/user/daily/activity/aggregated"): _SPENDERS,
    ("GET", "/key/daily/activity"): _SPENDERS,
    ("GET", "/key/daily/activity/aggregated"): _SPENDERS,
    ("GET", "/team/daily/activity"): _OVERSEERS,
    ("GET", "/team/daily/activity/aggregated"): _OVERSEERS,
    ("GET", "/organization/daily/activity"): _WATCH | _ORG,
    ("GET", "/organization/daily/activity/aggregated"): _WATCH | _ORG,
    ("GET", "/tag/daily/activity"): _WATCH,
    ("GET", "/tag/daily/activity/aggregated"): _WATCH,
    ("GET", "/customer/daily/activity"): _WATCH,
    ("GET", "/customer/daily/activity/aggregated"): _WATCH,
    ("GET", "/key/spend/report"): _SPENDERS,
    ("GET", "/user/spend/report"): _SPENDERS,
    ("GET", "/team/spend/report"): _OVERSEERS,
    ("GET", "/organization/spend/report"): _WATCH | _ORG,
    ("GET", "/provider/budgets"): _WATCH,
    ("GET", "/reports/statement"): _OVERSEERS,
    ("GET", "/reports/forecast"): _SPENDERS,
    ("GET", "/reports/anomalies"): _WATCH,
    ("POST", "/reports/simulate"): _SPENDERS - _ANYONE,
    ("POST", "/reports/exports"): _NOBODY,
    ("GET", "/reports/exports"): _WATCH,
    ("GET", "/reports/exports/{export_id}"): _WATCH,
    ("GET", "/reports/receipts/keys"): _ANYONE,
    ("GET", "/reports/receipts/{request_id}"): _SPENDERS,
    ("GET", "/audit"): _WATCH,
    ("GET", "/audit/verify"): _WATCH,
    ("GET", "/audit/{number}"): _WATCH,
}

READS = frozenset(
    {route for route in ROUTES if route[0] == "GET"}
    | {("POST", "/v2/key/info"), ("POST", "/budget/info"), ("POST", "/tag/info")}
    | {
        ("POST", path)
        for path in ("/spend/calculate", "/cost/estimate", "/global/spend/end_users", "/global/spend/refresh", "/reports/simulate")
    }
)
"""Routes that change nothing."""

MEMBER_PERMISSIONS = tuple(path for (_, path), roles in ROUTES.items() if TEAM_MEMBER in roles and path.startswith("/key/"))
"""What a team may let its members do with its keys."""
DEFAULT_MEMBER_PERMISSIONS = ("/key/info",)
"""Where a team says nothing."""
