"""The scenario's own arguments: one with a default, one from the environment, one with choices, and a secret one."""

from locust import FastHttpUser, constant, events, task


@events.init_command_line_parser.add_listener
def add_arguments(parser):
    group = parser.add_argument_group("Tenants", "Whose data are asked for")
    group.add_argument("--tenant", env_var="TENANT", default="nobody", help="Whose")
    group.add_argument("--depth", type=int, choices=[1, 2, 3], default=1)
    parser.add_argument("--api-key", is_secret=True, default="", include_in_web_ui=False)


@events.test_start.add_listener
def show(environment, **_kwargs):
    print("tenant", environment.parsed_options.tenant, vars(environment.parsed_options)["depth"])


class Tenant(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def ask(self):
        options = self.environment.parsed_options
        headers = {"X-Api-Key": options.api_key}
        self.client.get(f"/{options.tenant}" + "/deep" * options.depth, headers=headers)
