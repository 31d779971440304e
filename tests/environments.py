"""`python -m tests.environments`: make the environments of published clients and of Keystone ahead of their tests."""

from tests.clients.environment import clients_environment
from tests.keystone.server import keystone_environment

if __name__ == "__main__":
    clients_environment()
    keystone_environment()
