from common import outputs as names
from delivery.environments.outputs import Outputs


def test_the_commands_read_no_output_that_no_stack_has():
    exported = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    read = {field.alias for field in Outputs.model_fields.values()}
    assert read <= exported, "a name that is written differently on both sides is an output that is never there"
